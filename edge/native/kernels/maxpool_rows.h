// Maximum pooling; each file compiles it with its own instruction set and width of vectors.
//
// The maxima of a block of channels stay in registers over the whole window.
#pragma once

#include <string.h>

#include "inline.h"
#include "maxpool.h"

namespace b1 {
namespace {

template <int kLanes>
struct MaxPoolRows {
  typedef float Vector __attribute__((vector_size(4 * kLanes)));
  static constexpr int kVectors = 4, kNr = kVectors * kLanes;

  template <class V>
  static V load(const float* from) {
    V v;
    memcpy(&v, from, sizeof v);
    return v;
  }

  // The inputs of one output pixel, padding cut off.
  struct Window {
    const float* first;
    int rows, columns;
    size_t row, column;  // values from one to the next
  };

  // The maxima of kCount vectors of channels from channel `c` on; a float is a vector, too.
  template <class V, int kCount, bool kScaled, bool kOffset>
  static void block(const MaxPoolCall& call, const Window& window, int c, float* out) {
    constexpr int kWidth = sizeof(V) / 4;
    V maximum[kCount], scale[kCount], offset[kCount];
    for (int v = 0; v < kCount; ++v) {
      maximum[v] = V{} - __builtin_inff();
      if (kScaled) scale[v] = load<V>(call.scale + c + kWidth * v);
      if (kOffset) offset[v] = load<V>(call.offset + c + kWidth * v);
    }
    for (int row = 0; row < window.rows; ++row) {
      const float* from = window.first + row * window.row + c;
      for (int column = 0; column < window.columns; ++column, from += window.column) {
#pragma GCC unroll 4
        for (int v = 0; v < kCount; ++v) {
          V x = load<V>(from + kWidth * v);
          if (kScaled) x = x * scale[v];
          if (kOffset) x = x + offset[v];
          maximum[v] = x > maximum[v] ? x : maximum[v];
        }
      }
    }
    const V low = V{} + call.low, high = V{} + call.high;
    for (int v = 0; v < kCount; ++v) {
      V x = maximum[v] < low ? low : maximum[v];
      x = x > high ? high : x;
      memcpy(out + c + kWidth * v, &x, sizeof x);
    }
  }

  template <bool kScaled, bool kOffset>
  static void run(const MaxPoolCall& call, int first, int last) {
    const MaxPoolShape& s = *call.shape;
    Window window;
    window.row = s.in_w * call.in_stride;
    window.column = call.in_stride;
    float* out = call.out + static_cast<size_t>(first) * s.out_w * call.out_stride;
    for (int row = first; row < last; ++row) {
      const int y = row % s.out_h * s.stride_h - s.pad_top, top = max(y, 0);
      const int bottom = min(y + s.kernel_h, s.in_h);
      const float* line =
          call.in + (static_cast<size_t>(row / s.out_h) * s.in_h + top) * window.row;
      window.rows = bottom - top;
      for (int i = 0; i < s.out_w; ++i, out += call.out_stride) {
        const int x = i * s.stride_w - s.pad_left, left = max(x, 0);
        const int right = min(x + s.kernel_w, s.in_w);
        window.first = line + left * window.column;
        window.columns = right - left;
        int c = 0;
        for (; c + kNr <= s.channels; c += kNr) {
          block<Vector, kVectors, kScaled, kOffset>(call, window, c, out);
        }
        for (; c < s.channels; ++c) block<float, 1, kScaled, kOffset>(call, window, c, out);
      }
    }
  }

  static void run_any(const MaxPoolCall& call, int first, int last) {
    const auto scaled = call.offset ? run<true, true> : run<true, false>;
    const auto unscaled = call.offset ? run<false, true> : run<false, false>;
    (call.scale ? scaled : unscaled)(call, first, last);
  }

  template <const KernelInfo& kInfo>
  static constexpr MaxPoolKernel kernel() {
    static_assert(kInfo.mr == 1 && kInfo.nr == kNr, "variants.inc has the tile");
    return {kInfo, run_any};
  }
};

}  // namespace
}  // namespace b1
