/* ±1 weights on 8-bit inputs: sums and differences, two output columns and four taps at a time.
 *
 * Four taps have 16 signed sums; a nibble of the weights picks one, so that a table of 16 serves
 * all output channels. A 32-bit entry holds the sums of two neighbouring output columns, one times
 * 2^16: adding entries adds both, and the low half's sign is borrowed from the high half.
 */
#include "onebit_kernels.h"

/* Taps whose sums fit 16 bits: 128 * 255 < 2^15. */
#define CHUNK 128

static void put_sums(const int32_t* v, int32_t* table) {
  const int32_t low[4] = {v[0] + v[1], v[1] - v[0], v[0] - v[1], -v[0] - v[1]};
  const int32_t high[4] = {v[2] + v[3], v[3] - v[2], v[2] - v[3], -v[2] - v[3]};
  for (int32_t h = 0; h < 4; ++h) {
    *table++ = low[0] + high[h];
    *table++ = low[1] + high[h];
    *table++ = low[2] + high[h];
    *table++ = low[3] + high[h];
  }
}

/* The sum of `fours` groups of taps whose weights begin at f. */
static int32_t looked_up(const uint32_t* f, const int32_t* table, int32_t fours) {
  int32_t sum = 0;
  for (; fours >= 8; fours -= 8, table += 128) {
    const uint32_t w = *f++;
    sum += table[w & 15];
    sum += table[16 + ((w >> 4) & 15)];
    sum += table[32 + ((w >> 8) & 15)];
    sum += table[48 + ((w >> 12) & 15)];
    sum += table[64 + ((w >> 16) & 15)];
    sum += table[80 + ((w >> 20) & 15)];
    sum += table[96 + ((w >> 24) & 15)];
    sum += table[112 + (w >> 28)];
  }
  if (fours > 0) {
    uint32_t w = *f;
    for (; fours > 0; --fours, table += 16, w >>= 4) sum += table[w & 15];
  }
  return sum;
}

static int32_t pixel(const onebit_pixel_conv* l, const void* x, int32_t index) {
  const int32_t q = l->is_unsigned ? ((const uint8_t*)x)[index] : ((const int8_t*)x)[index];
  return q - l->zero_point;
}

/* Taps [first, first + count) of two output columns, in halves of words; those of pads are 0. */
static void gather(const onebit_pixel_conv* l, const void* x, int32_t oy, int32_t ox,
                   int32_t* column) {
  const onebit_window* w = &l->window;
  const int32_t second = ox + 1 < w->out_w ? w->stride_w : w->in_w + w->kernel_w * w->dilation_w;
  for (int32_t ky = 0; ky < w->kernel_h; ++ky) {
    const int32_t iy = oy * w->stride_h - w->pad_top + ky * w->dilation_h;
    for (int32_t kx = 0; kx < w->kernel_w; ++kx, column += w->in_c) {
      const int32_t ix = ox * w->stride_w - w->pad_left + kx * w->dilation_w;
      const int32_t at = (iy * w->in_w + ix) * w->in_c;
      const int32_t row = iy >= 0 && iy < w->in_h;
      const int32_t has_low = row && ix >= 0 && ix < w->in_w;
      const int32_t has_high = row && ix + second >= 0 && ix + second < w->in_w;
      for (int32_t c = 0; c < w->in_c; ++c) {
        const int32_t low = has_low ? pixel(l, x, at + c) : 0;
        const int32_t high = has_high ? pixel(l, x, at + second * w->in_c + c) : 0;
        column[c] = low + high * 65536;
      }
    }
  }
}

/* The sums of all output channels for two output columns: [out_c][2]. */
static const int32_t* pixel_sums(const onebit_pixel_conv* l, const void* x, int32_t oy, int32_t ox,
                                 int32_t* scratch) {
  const onebit_window* w = &l->window;
  const int32_t taps = w->kernel_h * w->kernel_w * w->in_c, words = ONEBIT_WORDS(taps);
  const int32_t is_dense = w->in_h * w->in_w * w->kernel_h * w->kernel_w == 1;
  const int32_t kept = is_dense ? (taps < CHUNK ? taps : CHUNK) : taps;
  int32_t *const sums = scratch, *const column = sums + 2 * w->out_c;
  int32_t* const table = column + (kept + 3) / 4 * 4;
  if (!is_dense) {
    gather(l, x, oy, ox, column);
    for (int32_t i = taps; i & 3; ++i) column[i] = 0;
  }
  for (int32_t first = 0; first < taps; first += CHUNK) {
    const int32_t count = taps - first < CHUNK ? taps - first : CHUNK, fours = (count + 3) / 4;
    const int32_t* from = column + first;
    if (is_dense) {
      for (int32_t i = 0; i < count; ++i) column[i] = pixel(l, x, first + i);
      for (int32_t i = count; i & 3; ++i) column[i] = 0;
      from = column;
    }
    for (int32_t i = 0; i < fours; ++i) put_sums(from + 4 * i, table + 16 * i);
    const uint32_t* f = l->filters + first / 32;
    for (int32_t o = 0; o < w->out_c; ++o, f += words) {
      const int32_t both = looked_up(f, table, fours);
      const int32_t low = (int16_t)(both & 0xffff);
      const int32_t high = (both - low) / 65536;
      sums[2 * o] = first ? sums[2 * o] + low : low;
      sums[2 * o + 1] = first ? sums[2 * o + 1] + high : high;
    }
  }
  return sums;
}

void onebit_pixel_conv_bits(const onebit_pixel_conv* l, const void* x, uint32_t* y,
                            int32_t* scratch) {
  const onebit_window* w = &l->window;
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ox += 2) {
      const int32_t* sums = pixel_sums(l, x, oy, ox, scratch);
      for (int32_t column = 0; column < 2 && ox + column < w->out_w; ++column) {
        const int32_t *s = sums + column, *limit = l->limits;
        for (int32_t o = 0; o < w->out_c; o += 32) {
          const int32_t count = w->out_c - o < 32 ? w->out_c - o : 32;
          uint32_t word = 0;
          for (int32_t i = 0; i < count; ++i, s += 2) word |= (uint32_t)(*s < *limit++) << i;
          *y++ = word;
        }
      }
    }
  }
}

void onebit_pixel_conv_f32(const onebit_pixel_conv* l, const void* x, float* y, int32_t* scratch) {
  const onebit_window* w = &l->window;
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ox += 2) {
      const int32_t* sums = pixel_sums(l, x, oy, ox, scratch);
      for (int32_t column = 0; column < 2 && ox + column < w->out_w; ++column) {
        for (int32_t o = 0; o < w->out_c; ++o) {
          float v = (float)sums[2 * o + column] * l->step;
          if (l->scales != NULL) v *= l->scales[o];
          if (l->biases != NULL) v += l->biases[o];
          v = v < l->clamp_min ? l->clamp_min : v;
          *y++ = v > l->clamp_max ? l->clamp_max : v;
        }
      }
    }
  }
}
