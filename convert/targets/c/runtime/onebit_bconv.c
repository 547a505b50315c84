/* Binary convolution: XOR and popcount. A dense layer is one with a window of 1 x 1. */
#include "onebit_dot.h"
#include "onebit_kernels.h"

/* The taps of a window that lie inside the image. */
typedef struct {
  int32_t y, x; /* of the window's first tap, perhaps outside */
  int32_t ky0, ky1, kx0, kx1;
  int32_t is_whole;
} placed;

static void inside(int32_t start, int32_t size, int32_t kernel, int32_t dilation, int32_t* first,
                   int32_t* last) {
  int32_t k = 0;
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
  const int32_t step = w->dilation_w * words;
  for (int32_t ky = 0; ky < w->kernel_h; ++ky) {
    if (ky < p->ky0 || ky >= p->ky1) {
      if (!only_inside) column = clear_words(column, w->kernel_w * group_words);
      continue;
    }
    const int32_t iy = p->y + ky * w->dilation_h;
    const uint32_t* from = x + (iy * w->in_w + p->x + p->kx0 * w->dilation_w) * words;
    if (!only_inside) column = clear_words(column, p->kx0 * group_words);
    if (step == group_words) {
      column = copy_words(column, from, (p->kx1 - p->kx0) * group_words);
    } else {
      for (int32_t kx = p->kx0; kx < p->kx1; ++kx, from += step) {
        column = copy_words(column, from, group_words);
      }
    }
    if (!only_inside) column = clear_words(column, (w->kernel_w - p->kx1) * group_words);
  }
}

/* 2a of all outputs of a pixel, in the scratch memory behind the column. */
static const int32_t* pixel_sums(const onebit_bconv* l, const uint32_t* x, int32_t oy, int32_t ox,
                                 uint32_t* scratch) {
  const onebit_window* w = &l->window;
  const int32_t words = ONEBIT_WORDS(w->in_c), group_words = words / l->groups;
  const int32_t taps = w->kernel_h * w->kernel_w, count = taps * group_words;
  const int32_t outputs = w->out_c / l->groups, depth = w->in_c / l->groups;
  int32_t* const sums = (int32_t*)(scratch + count);
  const placed p = place(w, oy, ox);
  const int32_t only_inside = l->zero_padding && !p.is_whole;
  const uint32_t* f = l->filters;
  int32_t* s = sums;
  for (int32_t g = 0; g < l->groups; ++g) {
    const uint32_t* column = scratch;
    if (taps == 1 && p.is_whole && l->groups == 1) {
      column = x + (p.y * w->in_w + p.x) * words; /* in place */
    } else {
      gather(w, &p, x + g * group_words, words, group_words, only_inside, scratch);
    }
    if (!only_inside) {
      for (int32_t o = 0; o < outputs; ++o, f += count) {
        *s++ = 2 * (int32_t)onebit_mismatches(column, f, count);
      }
      continue;
    }
    const int32_t rows = p.ky1 - p.ky0, row = (p.kx1 - p.kx0) * group_words;
    const int32_t pads = (taps - rows * (p.kx1 - p.kx0)) * depth;
    for (int32_t o = 0; o < outputs; ++o, f += count) {
      uint32_t differing = 0;
      for (int32_t i = 0; i < rows; ++i) {
        const uint32_t* taps_of_row = f + ((p.ky0 + i) * w->kernel_w + p.kx0) * group_words;
        differing += onebit_mismatches(column + i * row, taps_of_row, row);
      }
      *s++ = pads + 2 * (int32_t)differing;
    }
  }
  return sums;
}

void onebit_bconv_bits(const onebit_bconv* l, const uint32_t* x, uint32_t* y, uint32_t* scratch) {
  const onebit_window* w = &l->window;
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ++ox) {
      const int32_t *s = pixel_sums(l, x, oy, ox, scratch), *limit = l->limits;
      for (int32_t o = 0; o < w->out_c; o += 32) {
        const int32_t count = w->out_c - o < 32 ? w->out_c - o : 32;
        uint32_t word = 0;
        for (int32_t i = 0; i < count; ++i) word |= (uint32_t)(*s++ > *limit++) << i;
        *y++ = word;
      }
    }
  }
}

static float transformed(const onebit_bconv* l, int32_t s, int32_t o) {
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
