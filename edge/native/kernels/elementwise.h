// Sums and products of two tensors of floats, with broadcasting, and the signs of the results.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "pack.h"

namespace b1 {

// An operand: where its rows of channels lie, and what repeats.
struct ElementwiseOperand {
  const float* data;
  // Floats from one index of each leading dimension of the result to the next; 0 where the operand
  // has one index for all.
  ptrdiff_t steps[8];
  bool one_channel;  // for all channels of the result
};

struct ElementwiseCall {
  int rank;      // of the leading dimensions, that is without the channels
  int dims[8];   // the leading dimensions of the result
  int channels;  // its last one
  ElementwiseOperand a, b;
  const float* offset;  // [channels], added to the result of the operation; or nullptr
  float low, high;      // what the result is clamped to
  float* out;           // rows of channels, or nullptr if only the signs are read
  uint32_t* bits;       // the signs, or nullptr
  const PackKernel* pack;
};

// A variant. Both compute rows [first, last) of the result.
struct ElementwiseKernel {
  KernelInfo info;
  void (*add)(const ElementwiseCall&, int first, int last);
  void (*multiply)(const ElementwiseCall&, int first, int last);
};

}  // namespace b1
