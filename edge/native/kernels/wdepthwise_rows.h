// Depthwise weight-only convolution; each file compiles it with its own instruction set and width
// of vectors.
//
// A depthwise filter has a few bits a channel, against thousands of inputs: it is expanded to ±1
// once, and the sums of 32 channels stay in registers over all taps.
#pragma once

#include <string.h>

#include "wconv.h"

namespace b1 {
namespace {

template <int kLanes>
struct DepthwiseRows {
  typedef float Vector __attribute__((vector_size(4 * kLanes)));
  static constexpr int kVectors = kBlock / kLanes;

  static Vector load(const float* from) {
    Vector v;
    memcpy(&v, from, sizeof v);
    return v;
  }

  static uint64_t signs(const ConvShape& s) {
    return static_cast<uint64_t>(s.kernel_h) * s.kernel_w * round_up(s.channels_out, kBlock);
  }

  // [KH, KW, words of O] -> ±1 as [KH * KW, O rounded up to whole words].
  static void expand_filter(const ConvShape& s, const uint32_t* filter, float* signs) {
    const int words = words_for(s.channels_out);
    for (int i = 0; i < s.kernel_h * s.kernel_w * words; ++i) {
      for (int bit = 0; bit < kBlock; ++bit) *signs++ = filter[i] >> bit & 1 ? -1.0f : 1.0f;
    }
  }

  // Taps [first, end) along one axis that lie inside the image.
  struct Inside {
    int first, end;
    Inside(int start, int in, int kernel, int dilation) : first(0), end(kernel) {
      while (first < end && start + first * dilation < 0) ++first;
      while (end > first && start + (end - 1) * dilation >= in) --end;
    }
  };

  // The taps of one output pixel: `in` and `signs` at the first.
  struct Taps {
    const float *in, *signs;
    int rows, columns;
    size_t in_row, in_column, sign_row, sign_column;
  };

  // The block of channels from `channel` on of one output pixel.
  static void block(const WconvCall& call, const Taps& taps, int channel, float* out) {
    const ConvShape& s = *call.shape;
    const int multiplier = s.channels_out / s.channels_in;
    const int channels = min(s.channels_out - channel, kBlock);
    const bool direct = multiplier == 1 && channels == kBlock;
    float inputs[kBlock] = {};
    Vector sum[kVectors] = {};
    for (int row = 0; row < taps.rows; ++row) {
      const float* in = taps.in + row * taps.in_row;
      const float* signs = taps.signs + row * taps.sign_row + channel;
      for (int column = 0; column < taps.columns; ++column) {
        const float* from = direct ? in + channel : inputs;
        for (int i = 0; !direct && i < channels; ++i) inputs[i] = in[(channel + i) / multiplier];
#pragma GCC unroll 8
        for (int v = 0; v < kVectors; ++v) {
          sum[v] += load(from + kLanes * v) * load(signs + kLanes * v);
        }
        in += taps.in_column;
        signs += taps.sign_column;
      }
    }
    float sums[kBlock];
    memcpy(sums, sum, sizeof sums);
    for (int i = 0; i < channels; ++i) {
      const float value = sums[i] * call.scale[channel + i] + call.bias[channel + i];
      out[channel + i] = clamp(value, call.low, call.high);
    }
  }

  static void run(const WconvCall& call, int first, int last) {
    const ConvShape& s = *call.shape;
    Taps taps;
    taps.in_column = static_cast<size_t>(s.dilation_w) * s.channels_in;
    taps.in_row = static_cast<size_t>(s.dilation_h) * s.in_w * s.channels_in;
    taps.sign_column = round_up(s.channels_out, kBlock);
    taps.sign_row = taps.sign_column * s.kernel_w;
    for (int row = first; row < last; ++row) {
      const int top = row % s.out_h * s.stride_h - s.pad_top;
      const Inside y(top, s.in_h, s.kernel_h, s.dilation_h);
      const float* image =
          call.input + static_cast<size_t>(row / s.out_h) * s.in_h * s.in_w * s.channels_in;
      taps.rows = y.end - y.first;
      for (int i = 0; i < s.out_w; ++i) {
        const int left = i * s.stride_w - s.pad_left;
        const Inside x(left, s.in_w, s.kernel_w, s.dilation_w);
        taps.columns = x.end - x.first;
        if (taps.rows == 0 || taps.columns == 0) taps.rows = taps.columns = 0;
        const ptrdiff_t iy = top + y.first * s.dilation_h, ix = left + x.first * s.dilation_w;
        taps.in = taps.rows ? image + (iy * s.in_w + ix) * s.channels_in : image;
        taps.signs = call.signs + y.first * taps.sign_row + x.first * taps.sign_column;
        float* out = call.out + (static_cast<size_t>(row) * s.out_w + i) * s.channels_out;
        for (int channel = 0; channel < s.channels_out; channel += kBlock) {
          block(call, taps, channel, out);
        }
        taps.rows = y.end - y.first;
      }
    }
  }

  template <const KernelInfo& kInfo>
  static constexpr WdepthwiseKernel kernel() {
    static_assert(kInfo.mr == 1 && kInfo.nr == kBlock, "variants.inc has the tile");
    return {kInfo, signs, expand_filter, run};
  }
};

}  // namespace
}  // namespace b1
