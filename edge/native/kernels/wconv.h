// Convolution of floats with ±1 filters that stay packed: what a weight-only file (LceDequantize of
// a constant, then CONV_2D, DEPTHWISE_CONV_2D or FULLY_CONNECTED) computes.
#pragma once

#include "bconv.h"

namespace b1 {

// out = clamp(sum(x * w) * scale + bias); a fully connected layer is a 1 x 1 convolution of pixels.
struct WconvCall {
  const BconvShape* shape;  // groups 1, zero padding
  const uint32_t* filter;   // as `pack_filter` of the variant made it
  const float* signs;       // depthwise: as `expand_filter` made it
  const float* input;       // [N, H, W, C]
  const float* scale;       // [O]
  const float* bias;        // [O]
  float low, high;
  float* out;  // [N, OH, OW, O]
};

// One row of the variant table; `run` splits its work into items that may run concurrently.
struct WconvKernel {
  const char* name;
  Isa isa;
  uint64_t (*filter_words)(const BconvShape&);
  void (*pack_filter)(const BconvShape&, const uint32_t* filter, uint32_t* packed);
  int (*items)(const BconvShape&);
  void (*run)(const WconvCall&, int first, int last);
};

// Depthwise: output channel o reads input channel o / (O / C). Items are output rows.
struct WdepthwiseKernel {
  const char* name;
  Isa isa;
  uint64_t (*signs)(const BconvShape&);  // how many floats `expand_filter` writes
  void (*expand_filter)(const BconvShape&, const uint32_t* filter, float* signs);
  void (*run)(const WconvCall& call, int first, int last);
};

}  // namespace b1
