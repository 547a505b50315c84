// The binary convolution: its shape, its epilogue, and what a kernel variant is.
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

#include "inline.h"
#include "isa.h"

namespace b1 {

// Channels that one epilogue call handles: one word of bits.
constexpr int kBlock = 32;

// Entries that a per-channel array holds, so that a whole block may be read from any channel on.
B1_INLINE constexpr int channel_capacity(int channels) { return channels + kBlock; }

struct BconvShape {
  int batch, in_h, in_w, channels_in;
  int out_h, out_w, channels_out;
  int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  int pad_top, pad_left, groups;
  bool zero_padding;  // padded taps contribute nothing, else they count as +1

  B1_INLINE int words_in() const { return words_for(channels_in); }
  B1_INLINE int group_words() const { return words_for(channels_in / groups); }
  B1_INLINE int group_channels_out() const { return channels_out / groups; }
  B1_INLINE int pixels() const { return batch * out_h * out_w; }
  // Rows and columns that the taps of any output pixel touch, padding included.
  B1_INLINE int padded_h() const {
    return span(in_h, pad_top, out_h, stride_h, kernel_h, dilation_h);
  }
  B1_INLINE int padded_w() const {
    return span(in_w, pad_left, out_w, stride_w, kernel_w, dilation_w);
  }
  B1_INLINE bool needs_padding() const { return padded_h() != in_h || padded_w() != in_w; }

 private:
  B1_INLINE static int span(int in, int pad, int out, int stride, int kernel, int dilation) {
    return max((out - 1) * stride + (kernel - 1) * dilation + 1, in + pad);
  }
};

enum class BconvOutput { kFloat, kInt8, kBits };

// What happens to the accumulators. Per-channel arrays hold
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
  const BconvShape* shape;
  const BconvEpilogue* epilogue;
  const BconvCorrection* correction;  // nullptr without zero padding
  const uint32_t* filter;             // as `pack_filter` of the variant made it
  const uint32_t* input;              // [N, H, W, words_in]
  uint32_t* scratch;                  // `scratch_words` of the variant
  const float* residual;              // [N, OH, OW, O] or nullptr
  float* out_float;                   // nullptr if nobody reads the floats
  size_t out_stride;                  // floats from one pixel of `out_float` to the next
  int8_t* out_int8;
  uint32_t* out_bits;  // kFloat: the signs of the result, or nullptr; kBits: the result
};

// One row of the variant table. `stage` and `run` split their work into items that may run
// concurrently; `run` needs all of `stage`. Items follow the pixels, so that a thread that takes
// neighbouring ones mostly reads what it staged, and shares few cache lines of its outputs.
struct BconvKernel {
  const char* name;
  Isa isa;
  bool (*applies)(const BconvShape&);
  bool (*pays)(const BconvShape&);  // whether it beats the variants below it in the table
  uint64_t (*filter_words)(const BconvShape&);
  void (*pack_filter)(const BconvShape&, const uint32_t* filter, uint32_t* packed);
  uint64_t (*scratch_words)(const BconvShape&);
  int (*stage_items)(const BconvShape&);
  void (*stage)(const BconvCall&, int first, int last);
  int (*run_items)(const BconvShape&);
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
