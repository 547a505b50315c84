// Copies rows of floats.
#pragma once

#include <stddef.h>

#include "isa.h"

namespace b1 {

// Rows of `channels` values; the strides are values from one row to the next.
struct CopyCall {
  const float* from;
  float* to;
  size_t from_stride, to_stride;
  int channels;
};

// One row of the variant table. `run` copies rows [first, last).
struct CopyKernel {
  const char* name;
  Isa isa;
  void (*run)(const CopyCall&, int first, int last);
};

}  // namespace b1
