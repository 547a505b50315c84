// Convolution of floats with ±1 filters that stay packed, as in weight-only files: LceDequantize of
// a constant, then CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED.
#pragma once

#include "conv_shape.h"
#include "kernel_info.h"

namespace b1 {

// out = clamp(sum(x * w) * scale + bias); a fully connected layer is a 1 x 1 convolution of pixels.
struct WconvCall {
  const ConvShape* shape;  // zero padding; depthwise: groups 1
  const uint32_t* filter;  // as `pack_filter` of the variant made it
  const float* signs;      // depthwise: as `expand_filter` made it
  const float* input;      // [N, H, W, C]
  const float* scale;      // [O]
  const float* bias;       // [O]
  float low, high;
  float* out;  // [N, OH, OW, O]
};

// A variant; `run` splits its work into items that may run concurrently.
struct WconvKernel {
  KernelInfo info;
  uint64_t (*filter_words)(const ConvShape&);
  void (*pack_filter)(const ConvShape&, const uint32_t* filter, uint32_t* packed);
  int (*items)(const ConvShape&);
  void (*run)(const WconvCall&, int first, int last);
};

// A variant of the depthwise convolution: output channel o reads input channel o / (O / C). Items
// are output rows.
struct WdepthwiseKernel {
  KernelInfo info;
  uint64_t (*signs)(const ConvShape&);  // how many floats `expand_filter` writes
  void (*expand_filter)(const ConvShape&, const uint32_t* filter, float* signs);
  void (*run)(const WconvCall& call, int first, int last);
};

}  // namespace b1
