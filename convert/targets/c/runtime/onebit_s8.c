/* int8 layers, in TensorFlow Lite's integers. */
#include "onebit_s8.h"

#include "onebit_dot_s8.h"
#include "onebit_kernels.h"

static int8_t finished(const onebit_conv_s8_layer* l, int32_t sum, int32_t o) {
  const int32_t v = onebit_rescaled(sum, l->factors[o]) + l->zero_point_out;
  return (int8_t)onebit_clamp_s32(v, l->clamp_min, l->clamp_max);
}

/* The numbers under a window without the zero point, pads being 0. */
static void gather(const onebit_conv_s8_layer* l, const int8_t* x, int32_t oy, int32_t ox,
                   int32_t depth, int16_t* column) {
  const onebit_window* w = &l->window;
  const int32_t zero = l->zero_point_in;
  for (int32_t ky = 0; ky < w->kernel_h; ++ky) {
    const int32_t iy = oy * w->stride_h - w->pad_top + ky * w->dilation_h;
    for (int32_t kx = 0; kx < w->kernel_w; ++kx) {
      const int32_t ix = ox * w->stride_w - w->pad_left + kx * w->dilation_w;
      if (iy < 0 || iy >= w->in_h || ix < 0 || ix >= w->in_w) {
        for (int32_t i = 0; i < depth; ++i) *column++ = 0;
      } else {
        const int8_t* from = x + (iy * w->in_w + ix) * w->in_c;
        for (int32_t i = 0; i < depth; ++i) *column++ = (int16_t)(from[i] - zero);
      }
    }
  }
}

void onebit_conv_s8(const onebit_conv_s8_layer* l, const int8_t* x, int8_t* y, int16_t* scratch) {
  const onebit_window* w = &l->window;
  const int32_t depth = w->in_c / l->groups, outputs = w->out_c / l->groups;
  const int32_t taps = w->kernel_h * w->kernel_w * depth;
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    /* Two pixels at a time share the weights. */
    for (int32_t ox = 0; ox < w->out_w; ox += 2) {
      const int32_t is_pair = ox + 1 < w->out_w;
      int16_t* const second = scratch + ONEBIT_S8_COLUMN(taps);
      const int8_t* filter = l->filters;
      for (int32_t g = 0; g < l->groups; ++g) {
        gather(l, x + g * depth, oy, ox, depth, scratch);
        onebit_order_s8(scratch, taps);
        if (is_pair) {
          gather(l, x + g * depth, oy, ox + 1, depth, second);
          onebit_order_s8(second, taps);
        }
        for (int32_t o = g * outputs; o < (g + 1) * outputs; ++o, filter += taps) {
          int32_t sums[2];
          sums[0] = sums[1] = l->biases[o];
          if (!is_pair) {
            onebit_dot_s8(scratch, filter, taps, sums);
            y[o] = finished(l, sums[0], o);
          } else {
            onebit_dots_s8(scratch, second, filter, taps, sums);
            y[o] = finished(l, sums[0], o);
            y[w->out_c + o] = finished(l, sums[1], o);
          }
        }
      }
      y += is_pair ? 2 * w->out_c : w->out_c;
    }
  }
}

void onebit_depthwise_s8(const onebit_conv_s8_layer* l, const int8_t* x, int8_t* y,
                         int32_t* scratch) {
  const onebit_window* w = &l->window;
  const int32_t multiplier = w->out_c / w->in_c, zero = l->zero_point_in;
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ++ox) {
      /* Tap by tap, so that what is read lies side by side. */
      for (int32_t o = 0; o < w->out_c; ++o) scratch[o] = l->biases[o];
      for (int32_t ky = 0; ky < w->kernel_h; ++ky) {
        const int32_t iy = oy * w->stride_h - w->pad_top + ky * w->dilation_h;
        if (iy < 0 || iy >= w->in_h) continue;
        for (int32_t kx = 0; kx < w->kernel_w; ++kx) {
          const int32_t ix = ox * w->stride_w - w->pad_left + kx * w->dilation_w;
          if (ix < 0 || ix >= w->in_w) continue;
          const int8_t* from = x + (iy * w->in_w + ix) * w->in_c;
          const int8_t* filter = l->filters + (ky * w->kernel_w + kx) * w->out_c;
          int32_t* sum = scratch;
          for (const int8_t* const end = from + w->in_c; from != end;) {
            const int32_t value = *from++ - zero;
            for (int32_t m = multiplier; m != 0; --m) *sum++ += value * *filter++;
          }
        }
      }
      for (int32_t o = 0; o < w->out_c; ++o) *y++ = finished(l, scratch[o], o);
    }
  }
}

void onebit_max_pool_s8(const onebit_window* w, const int8_t* x, int8_t* y, int32_t clamp_min,
                        int32_t clamp_max) {
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ++ox) {
      const onebit_part p = onebit_part_of(w, oy, ox);
      for (int32_t c = 0; c < w->in_c; ++c) {
        int32_t most = -128;
        for (int32_t iy = p.y0; iy < p.y1; ++iy) {
          for (int32_t ix = p.x0; ix < p.x1; ++ix) {
            const int32_t value = x[(iy * w->in_w + ix) * w->in_c + c];
            most = value > most ? value : most;
          }
        }
        *y++ = (int8_t)onebit_clamp_s32(most, clamp_min, clamp_max);
      }
    }
  }
}

void onebit_average_pool_s8(const onebit_window* w, const int8_t* x, int8_t* y, int32_t clamp_min,
                            int32_t clamp_max) {
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ++ox) {
      const onebit_part p = onebit_part_of(w, oy, ox);
      const int32_t count = (p.y1 - p.y0) * (p.x1 - p.x0);
      for (int32_t c = 0; c < w->in_c; ++c) {
        int32_t sum = 0;
        for (int32_t iy = p.y0; iy < p.y1; ++iy) {
          for (int32_t ix = p.x0; ix < p.x1; ++ix) sum += x[(iy * w->in_w + ix) * w->in_c + c];
        }
        const int32_t mean = (sum > 0 ? sum + count / 2 : sum - count / 2) / count;
        *y++ = (int8_t)onebit_clamp_s32(mean, clamp_min, clamp_max);
      }
    }
  }
}

void onebit_mean_s8(const int8_t* x, int8_t* y, int32_t outer, int32_t middle, int32_t inner,
                    int32_t zero_point_in, int32_t zero_point_out, onebit_factor factor) {
  for (int32_t o = 0; o < outer; ++o, x += middle * inner) {
    for (int32_t i = 0; i < inner; ++i) {
      int32_t sum = 0;
      for (int32_t m = 0; m < middle; ++m) sum += x[m * inner + i] - zero_point_in;
      sum = onebit_rescaled_away(sum, factor) + zero_point_out;
      *y++ = (int8_t)onebit_clamp_s32(sum, -128, 127);
    }
  }
}

static int8_t combined(const onebit_elementwise_s8_layer* l, int32_t a, int32_t b) {
  int32_t v = 0;
  a -= l->zero_point_a;
  b -= l->zero_point_b;
  if (l->kind == ONEBIT_MUL) {
    v = onebit_rescaled_away(a * b, l->factor_out);
  } else if (l->kind == ONEBIT_ADD) {
    a = onebit_rescaled_once(a * (1 << 20), l->factor_a);
    b = onebit_rescaled_once(b * (1 << 20), l->factor_b);
    v = onebit_rescaled_away(a + b, l->factor_out);
  } else {
    a = onebit_rescaled_away(a * (1 << 20), l->factor_a);
    b = onebit_rescaled_away(b * (1 << 20), l->factor_b);
    v = onebit_rescaled_away(a - b, l->factor_out);
  }
  return (int8_t)onebit_clamp_s32(v + l->zero_point_out, l->clamp_min, l->clamp_max);
}

void onebit_elementwise_s8(const onebit_elementwise_s8_layer* l, const int8_t* a, const int8_t* b,
                           int8_t* y) {
  const onebit_broadcast* d = &l->shape;
  for (int32_t i = 0; i < d->size[0]; ++i) {
    for (int32_t j = 0; j < d->size[1]; ++j) {
      for (int32_t k = 0; k < d->size[2]; ++k) {
        const int8_t* p = a + i * d->a[0] + j * d->a[1] + k * d->a[2];
        const int8_t* q = b + i * d->b[0] + j * d->b[1] + k * d->b[2];
        for (int32_t c = 0; c < d->size[3]; ++c, p += d->a[3], q += d->b[3]) {
          *y++ = combined(l, *p, *q);
        }
      }
    }
  }
}

void onebit_lookup_s8(const int8_t* x, int8_t* y, int32_t count, const int8_t* table) {
  for (int32_t i = 0; i < count; ++i) y[i] = table[x[i] + 128];
}

void onebit_softmax_s8(const int8_t* x, int8_t* y, int32_t rows, int32_t channels,
                       const float* exponentials, float scale, int32_t zero_point) {
  for (int32_t r = 0; r < rows; ++r, x += channels, y += channels) {
    int32_t most = -128;
    float sum = 0.0f;
    for (int32_t c = 0; c < channels; ++c) most = x[c] > most ? x[c] : most;
    for (int32_t c = 0; c < channels; ++c) sum += exponentials[most - x[c]];
    const float unit = 1.0f / (sum * scale);
    for (int32_t c = 0; c < channels; ++c) {
      const int32_t v = (int32_t)(exponentials[most - x[c]] * unit + 0.5f) + zero_point;
      y[c] = (int8_t)onebit_clamp_s32(v, -128, 127);
    }
  }
}
