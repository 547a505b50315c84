// Maximum pooling of floats, perhaps of normalised ones.
#pragma once

#include <stddef.h>

#include "kernel_info.h"

namespace b1 {

// Windows lie within the image, padding cut off, and are never empty.
struct MaxPoolShape {
  int in_h, in_w, channels, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, out_h, out_w;
};

struct MaxPoolCall {
  const MaxPoolShape* shape;
  const float* in;  // [N, H, W] rows of channels, `in_stride` values apart
  float* out;       // [N, OH, OW] rows of channels, `out_stride` values apart
  size_t in_stride, out_stride;
  // One a channel: each input becomes x * scale + offset, each rounded to float, before the maximum
  // is taken; nullptr to leave out that step.
  const float *scale, *offset;
  float low, high;  // what the maximum is clamped to
};

// A variant. `run` computes rows [first, last) of N * OH rows of the output. NaN
// is never the greater; of a window of nothing else the maximum is -infinity.
struct MaxPoolKernel {
  KernelInfo info;
  void (*run)(const MaxPoolCall&, int first, int last);
};

}  // namespace b1
