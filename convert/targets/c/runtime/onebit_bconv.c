/* Binary convolution: XOR and popcount. A dense layer is one with a window of 1 x 1. */
#include "onebit_dot.h"
#include "onebit_kernels.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif

/* The taps of a window that lie inside the image. */
typedef struct {
  int32_t y, x; /* of the window's first tap, perhaps outside */
  int32_t ky0, ky1, kx0, kx1;
  int32_t is_whole;
} placed;

static void inside(int32_t start, int32_t size, int32_t kernel, int32_t dilation, int32_t* first,
                   int32_t* last) {
  int32_t k = 0;
  *first = 0;
  *last = kernel;
  if (start >= 0 && start + (kernel - 1) * dilation < size) return;
  while (k < kernel && start + k * dilation < 0) ++k;
  *first = k;
  while (k < kernel && start + k * dilation < size) ++k;
  *last = k;
}

static placed place(const onebit_window* w, int32_t oy, int32_t ox) {
  placed p;
  p.y = oy * w->stride_h - w->pad_top;
  p.x = ox * w->stride_w - w->pad_left;
  inside(p.y, w->in_h, w->kernel_h, w->dilation_h, &p.ky0, &p.ky1);
  inside(p.x, w->in_w, w->kernel_w, w->dilation_w, &p.kx0, &p.kx1);
  p.is_whole = p.ky1 - p.ky0 == w->kernel_h && p.kx1 - p.kx0 == w->kernel_w;
  return p;
}

static uint32_t* copy_words(uint32_t* to, const uint32_t* from, int32_t count) {
  for (int32_t i = 0; i < count; ++i) to[i] = from[i];
  return to + count;
}

static uint32_t* clear_words(uint32_t* to, int32_t count) {
  for (int32_t i = 0; i < count; ++i) to[i] = 0;
  return to + count;
}

/* The words under a window, those of pads 0; with `only_inside` without the pads. */
static void gather(const onebit_window* w, const placed* p, const uint32_t* x, int32_t words,
                   int32_t group_words, int32_t only_inside, uint32_t* column) {
  const int32_t dilation_w = ONEBIT_DILATION ? w->dilation_w : 1, step = dilation_w * words;
  for (int32_t ky = 0; ky < w->kernel_h; ++ky) {
    if (ky < p->ky0 || ky >= p->ky1) {
      if (!only_inside) column = clear_words(column, w->kernel_w * group_words);
      continue;
    }
    const int32_t iy = p->y + ky * (ONEBIT_DILATION ? w->dilation_h : 1);
    const uint32_t* from = x + (iy * w->in_w + p->x + p->kx0 * dilation_w) * words;
    if (!only_inside) column = clear_words(column, p->kx0 * group_words);
    if ((!ONEBIT_DILATION && !ONEBIT_GROUPS) || step == group_words) {
      column = copy_words(column, from, (p->kx1 - p->kx0) * group_words);
    } else {
      for (int32_t kx = p->kx0; kx < p->kx1; ++kx, from += step) {
        column = copy_words(column, from, group_words);
      }
    }
    if (!only_inside) column = clear_words(column, (w->kernel_w - p->kx1) * group_words);
  }
}

/* 2a of each of several filters, `pitch` words apart, over at most ONEBIT_MOST_WORDS words; added
 * to what is there where `kept` is all ones, not where it is 0. Not inlined: it needs all
 * registers. */
ONEBIT_FAST static void add_twice(const uint32_t* column, const uint32_t* filters, int32_t pitch,
                                  int32_t count, int32_t outputs, int32_t kept, int32_t* twice) {
  for (const int32_t* const end = twice + outputs; twice != end; ++twice, filters += pitch) {
    *twice = (*twice & kept) + 2 * (int32_t)onebit_mismatches(column, filters, count);
  }
}

static int32_t* twice_mismatches(const uint32_t* column, const uint32_t* filters, int32_t count,
                                 int32_t outputs, int32_t* twice) {
  int32_t kept = 0;
  if (!ONEBIT_LONG_ROWS) {
    add_twice(column, filters, count, count, outputs, kept, twice);
    return twice + outputs;
  }
  for (int32_t first = 0; first < count; first += ONEBIT_MOST_WORDS, kept = -1) {
    const int32_t left = count - first;
    add_twice(column + first, filters + first, count,
              left < ONEBIT_MOST_WORDS ? left : ONEBIT_MOST_WORDS, outputs, kept, twice);
  }
  return twice + outputs;
}

/* The same of the taps in the image only, whose words are `rows` parts of `row` words in `column`
 * and stand `pitch` words apart in a filter of `count` words; pads count half. */
static int32_t* twice_inside(const uint32_t* column, const uint32_t* filters, int32_t count,
                             int32_t rows, int32_t row, int32_t pitch, int32_t outputs,
                             int32_t pads, int32_t* twice) {
  for (const int32_t* const end = twice + outputs; twice != end; filters += count) {
    int32_t sum = pads;
    for (int32_t i = 0; i < rows; ++i) {
      int32_t part;
      (void)twice_mismatches(column + i * row, filters + i * pitch, row, 1, &part);
      sum += part;
    }
    *twice++ = sum;
  }
  return twice;
}

/* 2a of all outputs of a pixel, in the scratch memory behind the column. */
static const int32_t* pixel_sums(const onebit_bconv* l, const uint32_t* x, int32_t oy, int32_t ox,
                                 uint32_t* scratch) {
  const onebit_window* w = &l->window;
  const int32_t groups = ONEBIT_GROUPS ? l->groups : 1;
  const int32_t words = ONEBIT_WORDS(w->in_c), group_words = words / groups;
  const int32_t taps = w->kernel_h * w->kernel_w, count = taps * group_words;
  const int32_t outputs = w->out_c / groups, depth = w->in_c / groups;
  int32_t* const sums = (int32_t*)(scratch + count);
  const placed p = place(w, oy, ox);
  const int32_t only_inside = ONEBIT_ZERO_PADDING && l->zero_padding && !p.is_whole;
  const uint32_t* f = l->filters;
  int32_t* s = sums;
  for (int32_t g = 0; g < groups; ++g) {
    const uint32_t* column = scratch;
    if (taps == 1 && p.is_whole && groups == 1) {
      column = x + (p.y * w->in_w + p.x) * words; /* in place */
    } else {
      gather(w, &p, x + g * group_words, words, group_words, only_inside, scratch);
    }
    if (!only_inside) {
      s = twice_mismatches(column, f, count, outputs, s);
    } else {
      const int32_t rows = p.ky1 - p.ky0, columns = p.kx1 - p.kx0;
      const int32_t first = (p.ky0 * w->kernel_w + p.kx0) * group_words;
      s = twice_inside(column, f + first, count, rows, columns * group_words,
                       w->kernel_w * group_words, outputs, (taps - rows * columns) * depth, s);
    }
    f += outputs * count;
  }
  return sums;
}

static void rows_of_bits(const void* layer, const void* x, uint32_t* y, uint32_t* scratch,
                         int32_t first, int32_t last) {
  const onebit_bconv* const l = (const onebit_bconv*)layer;
  for (int32_t oy = first; oy < last; ++oy) {
    for (int32_t ox = 0; ox < l->window.out_w; ++ox) {
      const int32_t* t = pixel_sums(l, (const uint32_t*)x, oy, ox, scratch);
      y = onebit_bits_above(t, l->limits, l->window.out_c, y);
    }
  }
}

void onebit_bconv_bits(const onebit_bconv* l, const uint32_t* x, uint32_t* y, uint32_t* scratch) {
  rows_of_bits(l, x, y, scratch, 0, l->window.out_h);
}

void onebit_bconv_pool_bits(const onebit_bconv* l, const onebit_bands* pool, const uint32_t* x,
                            uint32_t* y, uint32_t* scratch) {
  onebit_pool_bands(pool, &l->window, rows_of_bits, l, x, y, scratch);
}

ONEBIT_INLINE float transformed(const onebit_bconv* l, int32_t s, int32_t o) {
  const int32_t low = s < l->clamp_min ? l->clamp_min : s;
  const int32_t clamped = low > l->clamp_max ? l->clamp_max : low;
  return (float)clamped * l->multipliers[o] + l->biases[o];
}

void onebit_bconv_f32(const onebit_bconv* l, const uint32_t* x, float* y, uint32_t* scratch) {
  const onebit_window* w = &l->window;
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ++ox) {
      const int32_t* s = pixel_sums(l, x, oy, ox, scratch);
      for (int32_t o = 0; o < w->out_c; ++o) *y++ = transformed(l, s[o], o);
    }
  }
}

void onebit_bconv_s8(const onebit_bconv* l, const uint32_t* x, int8_t* y, uint32_t* scratch) {
  const onebit_window* w = &l->window;
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ++ox) {
      const int32_t* s = pixel_sums(l, x, oy, ox, scratch);
      for (int32_t o = 0; o < w->out_c; ++o) *y++ = onebit_round_s8(transformed(l, s[o], o));
    }
  }
}
