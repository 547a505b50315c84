// Maximum pooling of bits: of ±1 the maximum is -1 only where all are, an AND of bits.
#pragma once

#include <stdint.h>

#include "kernel_info.h"

namespace b1 {

// Windows lie within the image, padding cut off, and are never empty.
struct BMaxPoolShape {
  int in_h, in_w, words, kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left, out_h, out_w;
};

struct BMaxPoolCall {
  const BMaxPoolShape* shape;
  const uint32_t* in;  // [N, H, W, words]
  uint32_t* out;       // [N, OH, OW, words]
};

// A variant. `run` computes rows [first, last) of N * OH rows of the output.
struct BMaxPoolKernel {
  KernelInfo info;
  void (*run)(const BMaxPoolCall&, int first, int last);
};

}  // namespace b1
