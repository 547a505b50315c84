// Depthwise weight-only convolution; each file compiles it with its own instruction set.
//
// Channels stand side by side in both the input and the filter's bits, so that a vector of inputs
// meets a word's bits, shifted to where floats keep their signs. Written so that compilers
// vectorise the inner loops: 32 channels with constant bounds, without branches.
#pragma once

#include <string.h>

#include "wconv.h"

namespace b1 {
namespace {

// sums[i] += +-x[i] for the 32 channels of a word of bits.
inline void add_signed(const float* x, uint32_t bits, float* sums) {
  for (int i = 0; i < 32; ++i) {
    uint32_t value;
    memcpy(&value, x + i, sizeof value);
    value ^= bits << (31 - i) & 0x80000000u;
    float signed_value;
    memcpy(&signed_value, &value, sizeof signed_value);
    sums[i] += signed_value;
  }
}

// The 32 (or, at the end, fewer) channels of one output pixel from `channel` on.
inline void depthwise_word(const WconvCall& call, int n, int y, int x, int channel, float* out) {
  const BconvShape& s = *call.shape;
  const int words = words_for(s.channels_out), multiplier = s.channels_out / s.channels_in;
  const int left = s.channels_out - channel, channels = left < 32 ? left : 32;
  float sums[32] = {}, inputs[32] = {};
  for (int ky = 0; ky < s.kernel_h; ++ky) {
    const int iy = y * s.stride_h - s.pad_top + ky * s.dilation_h;
    if (iy < 0 || iy >= s.in_h) continue;
    for (int kx = 0; kx < s.kernel_w; ++kx) {
      const int ix = x * s.stride_w - s.pad_left + kx * s.dilation_w;
      if (ix < 0 || ix >= s.in_w) continue;
      const float* in =
          call.input + ((static_cast<size_t>(n) * s.in_h + iy) * s.in_w + ix) * s.channels_in;
      const float* from = in + channel;
      if (multiplier != 1) {
        for (int i = 0; i < channels; ++i) inputs[i] = in[(channel + i) / multiplier];
        from = inputs;
      } else if (channels < 32) {
        memcpy(inputs, in + channel, channels * sizeof *in);
        from = inputs;
      }
      const size_t tap = static_cast<size_t>(ky) * s.kernel_w + kx;
      add_signed(from, call.filter[tap * words + channel / 32], sums);
    }
  }
  for (int i = 0; i < channels; ++i) {
    float value = sums[i] * call.scale[channel + i] + call.bias[channel + i];
    value = value < call.low ? call.low : value;
    out[channel + i] = value > call.high ? call.high : value;
  }
}

inline void depthwise_rows(const WconvCall& call, int first, int last) {
  const BconvShape& s = *call.shape;
  for (int row = first; row < last; ++row) {
    for (int x = 0; x < s.out_w; ++x) {
      float* out = call.out + (static_cast<size_t>(row) * s.out_w + x) * s.channels_out;
      for (int channel = 0; channel < s.channels_out; channel += 32) {
        depthwise_word(call, row / s.out_h, row % s.out_h, x, channel, out);
      }
    }
  }
}

constexpr WdepthwiseKernel depthwise_kernel(const char* name, Isa isa) {
  return {name, isa, depthwise_rows};
}

}  // namespace
}  // namespace b1
