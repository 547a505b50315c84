/* Float layers, in plain loops. */
#include "onebit_f32.h"

#include "onebit_kernels.h"

void onebit_conv_f32(const onebit_conv_f32_layer* l, const float* x, float* y) {
  const onebit_window* w = &l->window;
  const int32_t depth = w->in_c / l->groups, outputs = w->out_c / l->groups;
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ++ox) {
      const float* filter = l->filters;
      for (int32_t o = 0; o < w->out_c; ++o) {
        const float* group = x + o / outputs * depth;
        float sum = 0.0f;
        for (int32_t ky = 0; ky < w->kernel_h; ++ky) {
          const int32_t iy = oy * w->stride_h - w->pad_top + ky * w->dilation_h;
          for (int32_t kx = 0; kx < w->kernel_w; ++kx, filter += depth) {
            const int32_t ix = ox * w->stride_w - w->pad_left + kx * w->dilation_w;
            if (iy < 0 || iy >= w->in_h || ix < 0 || ix >= w->in_w) continue;
            const float* from = group + (iy * w->in_w + ix) * w->in_c;
            for (int32_t i = 0; i < depth; ++i) sum += from[i] * filter[i];
          }
        }
        if (l->biases != NULL) sum += l->biases[o];
        *y++ = onebit_clamp(sum, l->clamp_min, l->clamp_max);
      }
    }
  }
}

void onebit_depthwise_f32(const onebit_conv_f32_layer* l, const float* x, float* y) {
  const onebit_window* w = &l->window;
  const int32_t multiplier = w->out_c / w->in_c;
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ++ox) {
      for (int32_t o = 0; o < w->out_c; ++o) {
        const float* channel = x + o / multiplier;
        float sum = 0.0f;
        for (int32_t ky = 0; ky < w->kernel_h; ++ky) {
          const int32_t iy = oy * w->stride_h - w->pad_top + ky * w->dilation_h;
          if (iy < 0 || iy >= w->in_h) continue;
          for (int32_t kx = 0; kx < w->kernel_w; ++kx) {
            const int32_t ix = ox * w->stride_w - w->pad_left + kx * w->dilation_w;
            if (ix < 0 || ix >= w->in_w) continue;
            sum += channel[(iy * w->in_w + ix) * w->in_c] *
                   l->filters[(ky * w->kernel_w + kx) * w->out_c + o];
          }
        }
        if (l->biases != NULL) sum += l->biases[o];
        *y++ = onebit_clamp(sum, l->clamp_min, l->clamp_max);
      }
    }
  }
}

void onebit_max_pool_f32(const onebit_window* w, const float* x, float* y, float clamp_min,
                         float clamp_max) {
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ++ox) {
      const onebit_part p = onebit_part_of(w, oy, ox);
      for (int32_t c = 0; c < w->in_c; ++c) {
        float most = x[(p.y0 * w->in_w + p.x0) * w->in_c + c];
        for (int32_t iy = p.y0; iy < p.y1; ++iy) {
          for (int32_t ix = p.x0; ix < p.x1; ++ix) {
            const float value = x[(iy * w->in_w + ix) * w->in_c + c];
            most = value > most ? value : most;
          }
        }
        *y++ = onebit_clamp(most, clamp_min, clamp_max);
      }
    }
  }
}

void onebit_average_pool_f32(const onebit_window* w, const float* x, float* y, float clamp_min,
                             float clamp_max) {
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    for (int32_t ox = 0; ox < w->out_w; ++ox) {
      const onebit_part p = onebit_part_of(w, oy, ox);
      const float count = (float)((p.y1 - p.y0) * (p.x1 - p.x0));
      for (int32_t c = 0; c < w->in_c; ++c) {
        float sum = 0.0f;
        for (int32_t iy = p.y0; iy < p.y1; ++iy) {
          for (int32_t ix = p.x0; ix < p.x1; ++ix) sum += x[(iy * w->in_w + ix) * w->in_c + c];
        }
        *y++ = onebit_clamp(sum / count, clamp_min, clamp_max);
      }
    }
  }
}

void onebit_mean_f32(const float* x, float* y, int32_t outer, int32_t middle, int32_t inner) {
  for (int32_t o = 0; o < outer; ++o, x += middle * inner) {
    for (int32_t i = 0; i < inner; ++i) {
      float sum = 0.0f;
      for (int32_t m = 0; m < middle; ++m) sum += x[m * inner + i];
      *y++ = sum / (float)middle;
    }
  }
}
