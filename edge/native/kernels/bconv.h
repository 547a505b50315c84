// The binary convolution: its epilogue, its arguments, and the interface of its variants.
//
// Bits are as in LCE: 1 means -1, least significant bit first. With a = popcount(x XOR w) summed
// over the K = kernel_h * kernel_w * channels_in / groups products of an output, the dot product of
// the signs is K - 2a. The epilogue is folded as LCE folds it, so that float rounding agrees too:
//
//   clamp(K - 2a) * multiplier + bias  ==  clamp'(2a) * (-multiplier) + (bias + K * multiplier)
//
// where clamp' is the clamp mirrored at K. Zero padding replaces 2a by 2a + correction: a padded
// tap was counted as +1 inputs, and its sum of weights is taken back in integers, hence exactly.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "conv_shape.h"
#include "kernel_info.h"

namespace b1 {

enum class BconvOutput { kFloat, kInt8, kBits };

// The conversion of the accumulators to outputs. Per-channel arrays hold
// channel_capacity(channels_out) entries.
struct BconvEpilogue {
  BconvOutput output;
  bool has_clamp;                // a fused activation; without one 2a is within the range anyway
  int32_t clamp_min, clamp_max;  // on 2a
  const float* multiplier;
  const float* bias;
  const int32_t* thresholds;  // kBits: bit = a > threshold; within [-1, K]
  // kFloat only: y += residual where `has_add`, then, where `has_add_clamp`, a clamp.
  bool has_add, has_add_clamp;
  float add_min, add_max;
};

// Zero padding: which correction vector an output pixel takes. Entry (row_class[y], col_class[x])
// of a table of vectors of channel_capacity(channels_out) integers.
struct BconvCorrection {
  const int32_t* table;
  const uint8_t* row_class;
  const uint8_t* col_class;
  int col_classes;
};

struct BconvCall {
  const ConvShape* shape;
  const BconvEpilogue* epilogue;
  const BconvCorrection* correction;  // nullptr without zero padding
  const uint32_t* filter;             // as `pack_filter` of the variant made it
  const uint32_t* input;              // [N, H, W, words_in]
  uint32_t* scratch;                  // `scratch_words` of the variant
  const float* residual;              // [N, OH, OW, O] or nullptr
  float* out_float;                   // nullptr if the floats are not read
  size_t out_stride;                  // floats from one pixel of `out_float` to the next
  int8_t* out_int8;
  uint32_t* out_bits;  // kFloat: the signs of the result, or nullptr; kBits: the result
};

// A variant. `pack_input` and `run` split their work into items that may run concurrently; `run`
// needs all of `pack_input`. Items follow the pixels, so that a thread that takes neighbouring ones
// mostly reads what it packed, and shares few cache lines of its outputs.
struct BconvKernel {
  KernelInfo info;
  bool (*applies)(const ConvShape&);
  bool (*pays)(const ConvShape&);  // whether it beats the variants after it in the list
  uint64_t (*filter_words)(const ConvShape&);
  void (*pack_filter)(const ConvShape&, const uint32_t* filter, uint32_t* packed);
  uint64_t (*scratch_words)(const ConvShape&);
  int (*input_items)(const ConvShape&);
  void (*pack_input)(const BconvCall&, int first, int last);
  int (*run_items)(const ConvShape&);
  void (*run)(const BconvCall&, int first, int last);
};

// Round half away from zero, saturated to int8, as LCE's int8 output; exact, since t - trunc(t) is.
B1_INLINE int8_t round_to_int8(float t) {
  t = t > -128.0f ? t : -128.0f;  // NaN becomes -128
  t = t > 127.0f ? 127.0f : t;
  const int whole = static_cast<int>(t);
  const float rest = t - static_cast<float>(whole);
  return static_cast<int8_t>(whole + (rest >= 0.5f) - (rest <= -0.5f));
}

}  // namespace b1
