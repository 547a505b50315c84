// Copies rows of floats.
#pragma once

#include <stddef.h>

#include "kernel_info.h"

namespace b1 {

// Rows of `channels` values; the strides are values from one row to the next.
struct CopyCall {
  const float* from;
  float* to;
  size_t from_stride, to_stride;
  int channels;
};

// A variant. `run` copies rows [first, last).
struct CopyKernel {
  KernelInfo info;
  void (*run)(const CopyCall&, int first, int last);
};

}  // namespace b1
