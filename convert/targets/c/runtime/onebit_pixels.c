/* ±1 weights on 8-bit inputs: sums and differences, four output columns and four taps at a time.
 *
 * Four taps have 16 signed sums; a nibble of the weights picks one, so that a table of 16 serves
 * all output channels. A 32-bit word holds the sums of two neighbouring output columns, one times
 * 2^16: adding words adds both, and the low half's sign is borrowed from the high half.
 */
#include "onebit_dot.h"
#include "onebit_kernels.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif

/* Taps whose sums fit 16 bits: 128 * 255 < 2^15. */
#define CHUNK 128
#define COLUMNS 4

/* What a half is raised by while it grows, so that it is not below zero. */
#define RAISED 0x80008000u

/* Numbers of four output columns. */
typedef struct {
  int32_t low, high;
} four;

#if defined(__thumb2__) && defined(__GNUC__)
#define PUT(to, index, low_, high_) \
  __asm__("strd %1, %2, [%3, %4]"   \
          : "=m"((to)[index])       \
          : "r"(low_), "r"(high_), "r"(to), "i"(sizeof(four) * (uint32_t)(index)))
#else
#define PUT(to, index, low_, high_) \
  do {                              \
    (to)[index].low = low_;         \
    (to)[index].high = high_;       \
  } while (0)
#endif

/* The sums of a pair of values with another, and those with the other signs. */
#define PUT_ENTRY(index, x, y)                                        \
  do {                                                                \
    PUT(up, index, x##_low + y##_low, x##_high + y##_high);           \
    PUT(down, 3 - (index), -x##_low - y##_low, -x##_high - y##_high); \
  } while (0)

/* The signed sums of each four of `groups` values: bit i of an index is the sign of value i. */
ONEBIT_FAST static void put_sums(const four* v, int32_t groups, four* table) {
  for (; groups > 0; --groups, v += 4, table += 16) {
    const int32_t a_low = v[0].low + v[1].low, a_high = v[0].high + v[1].high;
    const int32_t b_low = v[1].low - v[0].low, b_high = v[1].high - v[0].high;
    const int32_t e_low = -b_low, e_high = -b_high, f_low = -a_low, f_high = -a_high;
    int32_t c_low = v[2].low + v[3].low, c_high = v[2].high + v[3].high;
    four *up = table, *down = table + 12;
    for (;;) {
      PUT_ENTRY(0, a, c);
      PUT_ENTRY(1, b, c);
      PUT_ENTRY(2, e, c);
      PUT_ENTRY(3, f, c);
      if (up != table) break;
      up += 4, down -= 4;
      c_low = v[3].low - v[2].low, c_high = v[3].high - v[2].high;
    }
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

/* The sums of `outputs` filters of `words` words over `groups` fours of taps: [columns][outputs].
 */
ONEBIT_FAST static void look_up(const uint32_t* filters, int32_t words, const four* tables,
                                int32_t groups, int32_t outputs, int32_t columns, int32_t* sums) {
  const int32_t last = (groups - 1) / 8;
  for (const int32_t* const end = sums + outputs; sums != end; ++sums) {
    uint32_t low = RAISED, high = RAISED; /* halves above zero: nothing is borrowed */
    const four* table = tables + 128 * last;
    const uint32_t* from = filters + last;
    uint32_t w = *from;
    /* From the last word, of which a part may be used, to the first. */
    switch (groups & 7) {
      default:
        for (;;) {
          ADD_ENTRY(7); /* fall through */
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
          case 1:
            ADD_ENTRY(0);
            if (from == filters) break;
            w = *--from;
            table -= 128;
        }
    }
    filters += words;
    low ^= RAISED; /* as numbers of 16 bits with a sign */
    sums[0] = (int16_t)low;
    if (columns == 1) continue;
    high ^= RAISED;
    sums[outputs] = (int32_t)low >> 16;
    sums[2 * outputs] = (int16_t)high;
    sums[3 * outputs] = (int32_t)high >> 16;
  }
}

static int32_t is_unsigned(const onebit_pixel_conv* l) {
  return !ONEBIT_PIXEL_INT8 || (ONEBIT_PIXEL_UINT8 && l->is_unsigned);
}

static int32_t pixel(const onebit_pixel_conv* l, const void* x, int32_t index) {
  const int32_t q = is_unsigned(l) ? ((const uint8_t*)x)[index] : ((const int8_t*)x)[index];
  return q * l->factor - l->zero_point;
}

/* The numbers [from, from + count) of a row of `size` numbers, with the zero at 0; 0 outside. */
static void put_line(const onebit_pixel_conv* l, const void* row, int32_t size, int32_t from,
                     int32_t count, int32_t* line) {
  const int32_t factor = l->factor, offset = -l->zero_point;
  for (; from < 0 && count > 0; ++from, --count) *line++ = 0;
  const int32_t left = size - from < count ? size - from : count;
  if (left > 0) {
    const int8_t *p = (const int8_t*)row + from, *const end = p + left;
    if (is_unsigned(l)) {
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
  const int32_t step = w->stride_w * w->in_c;
  const int32_t tap = (ONEBIT_DILATION ? w->dilation_w : 1) * w->in_c;
  const int32_t length = (COLUMNS - 1) * step + (w->kernel_w - 1) * tap + w->in_c;
  for (int32_t ky = 0; ky < w->kernel_h; ++ky) {
    const int32_t iy = oy * w->stride_h - w->pad_top + ky * (ONEBIT_DILATION ? w->dilation_h : 1);
    const int32_t size = iy >= 0 && iy < w->in_h ? w->in_w * w->in_c : 0; /* none: all outside */
    put_line(l, (const int8_t*)x + (size > 0 ? iy * size : 0), size, first, length, line);
    /* Without dilation the taps of a row follow each other. */
    const int32_t runs = !ONEBIT_DILATION || tap == w->in_c ? 1 : w->kernel_w;
    const int32_t run = w->kernel_w * w->in_c / runs;
    for (int32_t r = 0; r < runs; ++r) {
      for (const int32_t *p = line + r * tap, *const end = p + run; p != end; ++p, ++column) {
        column->low = p[0] + p[step] * 65536;
        column->high = p[2 * step] + p[3 * step] * 65536;
      }
    }
  }
}

static int32_t is_dense(const onebit_window* w) {
  if (!ONEBIT_PIXEL_VECTORS || !ONEBIT_PIXEL_IMAGES) return ONEBIT_PIXEL_VECTORS;
  return w->in_h * w->in_w * w->kernel_h * w->kernel_w == 1;
}

static int32_t columns_of(const onebit_window* w) { return is_dense(w) ? 1 : COLUMNS; }

static const four nothing = {0, 0};

/* The sums of all output channels for four output columns: [columns][out_c]. */
static const int32_t* pixel_sums(const onebit_pixel_conv* l, const void* x, int32_t oy, int32_t ox,
                                 uint32_t* scratch) {
  const onebit_window* w = &l->window;
  const int32_t taps = w->kernel_h * w->kernel_w * w->in_c, words = ONEBIT_WORDS(taps);
  const int32_t columns = columns_of(w), chunk = ONEBIT_PIXEL_LONG_ROWS ? CHUNK : taps;
  const int32_t kept = columns == 1 ? (taps < chunk ? taps : chunk) : taps;
  int32_t* const sums = (int32_t*)scratch;
  four* const column = (four*)(void*)(sums + columns * w->out_c);
  four* const table = column + (kept + 3) / 4 * 4;
  if (columns > 1) {
    gather(l, x, oy, ox, (int32_t*)(void*)table, column); /* whose place is free yet */
    for (int32_t i = taps; i & 3; ++i) column[i] = nothing;
  }
  if (!ONEBIT_PIXEL_LONG_ROWS && columns > 1) {
    put_sums(column, (taps + 3) / 4, table);
    look_up(l->filters, words, table, (taps + 3) / 4, w->out_c, columns, sums);
    return sums;
  }
  for (int32_t first = 0; first < taps; first += chunk) {
    const int32_t count = taps - first < chunk ? taps - first : chunk, groups = (count + 3) / 4;
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

static void rows_of_bits(const void* layer, const void* x, uint32_t* y, uint32_t* scratch,
                         int32_t first, int32_t last) {
  const onebit_pixel_conv* const l = (const onebit_pixel_conv*)layer;
  const onebit_window* w = &l->window;
  for (int32_t oy = first; oy < last; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ox += COLUMNS) {
      const int32_t* sums = pixel_sums(l, x, oy, ox, scratch);
      for (int32_t i = 0; i < COLUMNS && ox + i < w->out_w; ++i) {
        y = onebit_bits_above(sums + i * w->out_c, l->limits, w->out_c, y);
      }
    }
  }
}

void onebit_pixel_conv_bits(const onebit_pixel_conv* l, const void* x, uint32_t* y,
                            uint32_t* scratch) {
  rows_of_bits(l, x, y, scratch, 0, l->window.out_h);
}

void onebit_pixel_conv_pool_bits(const onebit_pixel_conv* l, const onebit_bands* pool,
                                 const void* x, uint32_t* y, uint32_t* scratch) {
  onebit_pool_bands(pool, &l->window, rows_of_bits, l, x, y, scratch);
}

void onebit_pixel_conv_f32(const onebit_pixel_conv* l, const void* x, float* y, uint32_t* scratch) {
  const onebit_window* w = &l->window;
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ox += COLUMNS) {
      const int32_t* sums = pixel_sums(l, x, oy, ox, scratch);
      for (int32_t column = 0; column < COLUMNS && ox + column < w->out_w; ++column) {
        for (int32_t o = 0; o < w->out_c; ++o) {
          float v = (float)sums[column * w->out_c + o] * l->step;
          if (l->scales != NULL) v *= l->scales[o];
          if (l->biases != NULL) v += l->biases[o];
          v = v < l->clamp_min ? l->clamp_min : v;
          *y++ = v > l->clamp_max ? l->clamp_max : v;
        }
      }
    }
  }
}
