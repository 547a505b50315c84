/* What kernels of floats share. */
#ifndef ONEBIT_F32_H_
#define ONEBIT_F32_H_

#include "onebit_kernels.h"

static inline float onebit_clamp(float v, float low, float high) {
  v = v < low ? low : v;
  return v > high ? high : v;
}

/* The `depth` channels at x under a window, those of pads 0. */
static inline void onebit_gather_f32(const onebit_window* w, int32_t oy, int32_t ox, const float* x,
                                     int32_t depth, float* column) {
  for (int32_t ky = 0; ky < w->kernel_h; ++ky) {
    const int32_t iy = oy * w->stride_h - w->pad_top + ky * w->dilation_h;
    for (int32_t kx = 0; kx < w->kernel_w; ++kx) {
      const int32_t ix = ox * w->stride_w - w->pad_left + kx * w->dilation_w;
      const int32_t is_inside = iy >= 0 && iy < w->in_h && ix >= 0 && ix < w->in_w;
      const float* from = x + (is_inside ? (iy * w->in_w + ix) * w->in_c : 0);
      for (int32_t i = 0; i < depth; ++i) *column++ = is_inside ? from[i] : 0.0f;
    }
  }
}

#endif /* ONEBIT_F32_H_ */
