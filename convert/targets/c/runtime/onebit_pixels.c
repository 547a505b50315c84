/* ±1 weights on 8-bit inputs: sums and differences, four output columns and four taps at a time.
 *
 * Four taps have 16 signed sums; a nibble of the weights picks one, so that a table of 16 serves
 * all output channels. A 32-bit word holds the sums of two neighbouring output columns, one times
 * 2^16: adding words adds both, and the low half's sign is borrowed from the high half.
 */
#include "onebit_dot.h"
#include "onebit_kernels.h"

/* Taps whose sums fit 16 bits: 128 * 255 < 2^15. */
#define CHUNK 128
#define COLUMNS 4

/* What each chunk's sum of taps is raised by, so that it is not below zero. */
#define RAISED 0x8000u

/* Numbers of four output columns. */
typedef struct {
  int32_t low, high;
} four;

#if defined(__thumb2__) && defined(__GNUC__)
#define PUT(index, low_, high_)   \
  __asm__("strd %1, %2, [%3, %4]" \
          : "=m"(table[index])    \
          : "r"(low_), "r"(high_), "r"(table), "i"(sizeof(four) * (uint32_t)(index)))
#else
#define PUT(index, low_, high_) \
  do {                          \
    table[index].low = low_;    \
    table[index].high = high_;  \
  } while (0)
#endif

#define PUT_ENTRY(index, x, y)                                   \
  do {                                                           \
    PUT(index, x##_low + y##_low, x##_high + y##_high);          \
    PUT(15 - (index), -x##_low - y##_low, -x##_high - y##_high); \
  } while (0)

/* The signed sums of each four of `groups` values: bit i of an index is the sign of value i. */
static void put_sums(const four* v, int32_t groups, four* table) {
  for (; groups > 0; --groups, v += 4, table += 16) {
    const int32_t a_low = v[0].low + v[1].low, a_high = v[0].high + v[1].high;
    const int32_t b_low = v[1].low - v[0].low, b_high = v[1].high - v[0].high;
    const int32_t c_low = v[2].low + v[3].low, c_high = v[2].high + v[3].high;
    const int32_t d_low = v[3].low - v[2].low, d_high = v[3].high - v[2].high;
    const int32_t e_low = -b_low, e_high = -b_high, f_low = -a_low, f_high = -a_high;
    PUT_ENTRY(0, a, c);
    PUT_ENTRY(1, b, c);
    PUT_ENTRY(2, e, c);
    PUT_ENTRY(3, f, c);
    PUT_ENTRY(4, a, d);
    PUT_ENTRY(5, b, d);
    PUT_ENTRY(6, e, d);
    PUT_ENTRY(7, f, d);
  }
}

/* low and high: the entry of a group that its nibble in w picks, added. */
#if defined(__thumb2__) && defined(__GNUC__)
#define ADD_ENTRY(group)                                                             \
  do {                                                                               \
    uint32_t l_, h_;                                                                 \
    __asm__(                                                                         \
        "ubfx %2, %4, %6, #4\n\tadd %2, %5, %2, lsl #3\n\tldrd %2, %3, [%2, %7]\n\t" \
        "add %0, %0, %2\n\tadd %1, %1, %3"                                           \
        : "+r"(low), "+r"(high), "=&r"(l_), "=&r"(h_)                                \
        : "r"(w), "r"(table), "i"(4 * (group)), "i"(16 * sizeof(four) * (group)),    \
          "m"(*(const four(*)[128])table));                                          \
  } while (0)
#else
#define ADD_ENTRY(group)                                                          \
  do {                                                                            \
    const four* const from_ = table + ((w >> (4 * (group))) & 15) + 16 * (group); \
    low += (uint32_t)from_->low;                                                  \
    high += (uint32_t)from_->high;                                                \
  } while (0)
#endif

/* The raised sums of `outputs` filters of `words` words over `groups` fours of taps: [outputs][4].
 */
ONEBIT_NOINLINE static void look_up(const uint32_t* filters, int32_t words, const four* tables,
                                    int32_t groups, int32_t outputs, int32_t columns,
                                    int32_t* sums) {
  const int32_t skipped = words - (groups + 7) / 8;
  for (const int32_t* const end = sums + columns * outputs; sums != end; sums += columns) {
    uint32_t low = RAISED * 65537u, high = low; /* halves above zero: nothing is borrowed */
    const four* table = tables;
    for (int32_t i = groups >> 3; i != 0; --i, table += 128) {
      const uint32_t w = *filters++;
      ADD_ENTRY(0);
      ADD_ENTRY(1);
      ADD_ENTRY(2);
      ADD_ENTRY(3);
      ADD_ENTRY(4);
      ADD_ENTRY(5);
      ADD_ENTRY(6);
      ADD_ENTRY(7);
    }
    if (groups & 7) {
      const uint32_t w = *filters++;
      switch (groups & 7) {
        case 7:
          ADD_ENTRY(6); /* fall through */
        case 6:
          ADD_ENTRY(5); /* fall through */
        case 5:
          ADD_ENTRY(4); /* fall through */
        case 4:
          ADD_ENTRY(3); /* fall through */
        case 3:
          ADD_ENTRY(2); /* fall through */
        case 2:
          ADD_ENTRY(1); /* fall through */
        default:
          ADD_ENTRY(0);
      }
    }
    sums[0] = (int32_t)(low & 0xffff);
    filters += skipped;
    if (columns == 1) continue;
    sums[1] = (int32_t)(low >> 16);
    sums[2] = (int32_t)(high & 0xffff);
    sums[3] = (int32_t)(high >> 16);
  }
}

static int32_t pixel(const onebit_pixel_conv* l, const void* x, int32_t index) {
  const int32_t q = l->is_unsigned ? ((const uint8_t*)x)[index] : ((const int8_t*)x)[index];
  return q * l->factor - l->zero_point;
}

/* The numbers [from, from + count) of a row of `size` numbers, without the zero point; 0 outside.
 */
static void put_line(const onebit_pixel_conv* l, const void* row, int32_t size, int32_t from,
                     int32_t count, int32_t* line) {
  const int32_t factor = l->factor, offset = -l->zero_point;
  for (; from < 0 && count > 0; ++from, --count) *line++ = 0;
  const int32_t left = size - from < count ? size - from : count;
  if (left > 0) {
    const int8_t *p = (const int8_t*)row + from, *const end = p + left;
    if (l->is_unsigned) {
      while (p != end) *line++ = *(const uint8_t*)p++ * factor + offset;
    } else {
      while (p != end) *line++ = *p++ * factor + offset;
    }
    count -= left;
  }
  for (; count > 0; --count) *line++ = 0;
}

/* All taps of four output columns; those of pads are 0. The columns' common part of an input row is
 * read once, into `line`. */
static void gather(const onebit_pixel_conv* l, const void* x, int32_t oy, int32_t ox, int32_t* line,
                   four* column) {
  const onebit_window* w = &l->window;
  const int32_t first = (ox * w->stride_w - w->pad_left) * w->in_c;
  const int32_t step = w->stride_w * w->in_c, tap = w->dilation_w * w->in_c;
  const int32_t length = (COLUMNS - 1) * step + (w->kernel_w - 1) * tap + w->in_c;
  for (int32_t ky = 0; ky < w->kernel_h; ++ky) {
    const int32_t iy = oy * w->stride_h - w->pad_top + ky * w->dilation_h;
    const int32_t size = iy >= 0 && iy < w->in_h ? w->in_w * w->in_c : 0; /* none: all outside */
    put_line(l, (const int8_t*)x + (size > 0 ? iy * size : 0), size, first, length, line);
    /* Without dilation the taps of a row follow each other. */
    const int32_t runs = tap == w->in_c ? 1 : w->kernel_w, run = w->kernel_w * w->in_c / runs;
    for (int32_t r = 0; r < runs; ++r) {
      for (const int32_t *p = line + r * tap, *const end = p + run; p != end; ++p, ++column) {
        column->low = p[0] + p[step] * 65536;
        column->high = p[2 * step] + p[3 * step] * 65536;
      }
    }
  }
}

static int32_t is_dense(const onebit_window* w) {
  return w->in_h * w->in_w * w->kernel_h * w->kernel_w == 1;
}

static int32_t columns_of(const onebit_window* w) { return is_dense(w) ? 1 : COLUMNS; }

static const four nothing = {0, 0};

/* The sums of all output channels for four output columns, [out_c][columns], raised for each chunk.
 */
static const int32_t* pixel_sums(const onebit_pixel_conv* l, const void* x, int32_t oy, int32_t ox,
                                 int32_t* scratch) {
  const onebit_window* w = &l->window;
  const int32_t taps = w->kernel_h * w->kernel_w * w->in_c, words = ONEBIT_WORDS(taps);
  const int32_t columns = columns_of(w);
  const int32_t kept = columns == 1 ? (taps < CHUNK ? taps : CHUNK) : taps;
  int32_t* const sums = scratch;
  four* const column = (four*)(void*)(sums + columns * w->out_c);
  four* const table = column + (kept + 3) / 4 * 4;
  if (columns > 1) {
    gather(l, x, oy, ox, (int32_t*)(void*)table, column); /* whose place is free yet */
    for (int32_t i = taps; i & 3; ++i) column[i] = nothing;
  }
  for (int32_t first = 0; first < taps; first += CHUNK) {
    const int32_t count = taps - first < CHUNK ? taps - first : CHUNK, groups = (count + 3) / 4;
    const four* from = column + first;
    if (columns == 1) {
      for (int32_t i = 0; i < count; ++i) {
        column[i] = nothing;
        column[i].low = pixel(l, x, first + i);
      }
      for (int32_t i = count; i & 3; ++i) column[i] = nothing;
      from = column;
    }
    put_sums(from, groups, table);
    int32_t* const part = first == 0 ? sums : (int32_t*)(void*)(table + 16 * CHUNK / 4);
    look_up(l->filters + first / 32, words, table, groups, w->out_c, columns, part);
    for (int32_t i = 0; first > 0 && i < columns * w->out_c; ++i) sums[i] += part[i];
  }
  return sums;
}

static void rows_of_bits(const onebit_pixel_conv* l, const void* x, uint32_t* y, int32_t* scratch,
                         int32_t first, int32_t last) {
  const onebit_window* w = &l->window;
  for (int32_t oy = first; oy < last; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ox += COLUMNS) {
      const int32_t* sums = pixel_sums(l, x, oy, ox, scratch);
      for (int32_t i = 0; i < COLUMNS && ox + i < w->out_w; ++i) {
        y = onebit_bits_above(sums + i, columns_of(w), l->limits, w->out_c, y);
      }
    }
  }
}

void onebit_pixel_conv_bits(const onebit_pixel_conv* l, const void* x, uint32_t* y,
                            int32_t* scratch) {
  rows_of_bits(l, x, y, scratch, 0, l->window.out_h);
}

void onebit_pixel_conv_pool_bits(const onebit_pixel_conv* l, const onebit_window* pool,
                                 const void* x, uint32_t* y, int32_t* scratch) {
  const int32_t rows = pool->in_h, words = pool->out_w * ONEBIT_WORDS(pool->in_c);
  const int32_t bands = l->window.out_h / rows;
  uint32_t* const band = (uint32_t*)scratch;
  scratch += rows * pool->in_w * ONEBIT_WORDS(pool->in_c);
  for (int32_t i = 0; i < bands; ++i, y += words) {
    rows_of_bits(l, x, band, scratch, i * rows, (i + 1) * rows);
    onebit_max_pool_bits(pool, band, y);
  }
}

void onebit_pixel_conv_f32(const onebit_pixel_conv* l, const void* x, float* y, int32_t* scratch) {
  const onebit_window* w = &l->window;
  const int32_t taps = w->kernel_h * w->kernel_w * w->in_c;
  const int32_t raised = (taps + CHUNK - 1) / CHUNK * (int32_t)RAISED;
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ox += COLUMNS) {
      const int32_t* sums = pixel_sums(l, x, oy, ox, scratch);
      for (int32_t column = 0; column < COLUMNS && ox + column < w->out_w; ++column) {
        for (int32_t o = 0; o < w->out_c; ++o) {
          float v = (float)(sums[columns_of(w) * o + column] - raised) * l->step;
          if (l->scales != NULL) v *= l->scales[o];
          if (l->biases != NULL) v += l->biases[o];
          v = v < l->clamp_min ? l->clamp_min : v;
          *y++ = v > l->clamp_max ? l->clamp_max : v;
        }
      }
    }
  }
}
