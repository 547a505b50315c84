// FULLY_CONNECTED, CONV_2D or DEPTHWISE_CONV_2D of floats whose weights are the LceDequantize of a
// constant: computed from the packed bits. Input 1 is the packed constant (choose.cc puts it
// there).
#pragma once

#include "geometry.h"
#include "graph.h"

namespace onebit {

struct WeightOnlyState {
  Window window;
  bool same, depthwise, dense, keep_dims;
  int depth_multiplier, activation;
  int flat_filter;  // the tensor with the shape of a filter that was packed as [O, K], or -1
  // Merged operators: values of their constants, or -1. The result is clamp(sum * scale + bias).
  int scale, add;

  b1::BconvShape shape;
  const b1::WconvKernel* kernel;
  const b1::WdepthwiseKernel* depthwise_kernel;
  const b1::WconvKernel* packed_for;
  Buffer filter, channel_data;
  b1::WconvCall call;
};

}  // namespace onebit
