/* Layers with float inputs and ±1 weights that are stored as bits. */
#include "onebit_f32.h"
#include "onebit_kernels.h"

static float finished(const onebit_signed_conv* l, float sum, int32_t o) {
  if (l->scales != NULL) sum *= l->scales[o];
  if (l->biases != NULL) sum += l->biases[o];
  return onebit_clamp(sum, l->clamp_min, l->clamp_max);
}

static float signed_sum(const float* x, const uint32_t* bits, int32_t count) {
  float sum = 0.0f;
  for (; count > 0; count -= 32) {
    uint32_t word = *bits++;
    for (int32_t i = count < 32 ? count : 32; i != 0; --i, word >>= 1) {
      const float value = *x++;
      sum += word & 1 ? -value : value;
    }
  }
  return sum;
}

void onebit_signed_conv_f32(const onebit_signed_conv* l, const float* x, float* y, float* scratch) {
  const onebit_window* w = &l->window;
  const int32_t depth = w->in_c / l->groups, outputs = w->out_c / l->groups;
  const int32_t taps = w->kernel_h * w->kernel_w * depth;
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ++ox) {
      const uint32_t* bits = l->filters;
      for (int32_t g = 0; g < l->groups; ++g) {
        const float* column = scratch;
        if (w->in_h * w->in_w * w->kernel_h * w->kernel_w * l->groups == 1) {
          column = x; /* a dense layer */
        } else {
          onebit_gather_f32(w, oy, ox, x + g * depth, depth, scratch);
        }
        for (int32_t o = g * outputs; o < (g + 1) * outputs; ++o, bits += ONEBIT_WORDS(taps)) {
          *y++ = finished(l, signed_sum(column, bits, taps), o);
        }
      }
    }
  }
}

void onebit_signed_depthwise_f32(const onebit_signed_conv* l, const float* x, float* y) {
  const onebit_window* w = &l->window;
  const int32_t words = ONEBIT_WORDS(w->out_c), multiplier = w->out_c / w->in_c;
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ++ox) {
      for (int32_t o = 0; o < w->out_c; ++o) {
        const int32_t channel = o / multiplier;
        float sum = 0.0f;
        for (int32_t ky = 0; ky < w->kernel_h; ++ky) {
          const int32_t iy = oy * w->stride_h - w->pad_top + ky * w->dilation_h;
          if (iy < 0 || iy >= w->in_h) continue;
          for (int32_t kx = 0; kx < w->kernel_w; ++kx) {
            const int32_t ix = ox * w->stride_w - w->pad_left + kx * w->dilation_w;
            if (ix < 0 || ix >= w->in_w) continue;
            const float value = x[(iy * w->in_w + ix) * w->in_c + channel];
            const uint32_t word = l->filters[(ky * w->kernel_w + kx) * words + o / 32];
            sum += (word >> (o & 31)) & 1 ? -value : value;
          }
        }
        *y++ = finished(l, sum, o);
      }
    }
  }
}
