// The driver of every packing kernel: whole words through `Tile`, the tail of a row one by one.
//
// A `Tile` provides, for 32 values:
//   static uint32_t below_zero(const float* values)
//   static uint32_t below_zero(const float* values, const float* scale, const float* offset)
//   static uint32_t below(const int8_t* values, int8_t zero_point)
// Internal linkage, as each file compiles it with its own instruction set.
#pragma once

#include <stddef.h>

#include "pack.h"

namespace b1 {
namespace {

template <class Tile>
struct PackRows {
  // `word(from, c)` gives the bits of 32 values from channel c on, `sign(from, c)` that of one.
  template <class Value, class Word, class Sign>
  static void pack(const Value* from, size_t stride, int rows, int channels, uint32_t* to,
                   Word word, Sign sign) {
    for (int row = 0; row < rows; ++row, from += stride) {
      int c = 0;
      for (; c + 32 <= channels; c += 32) *to++ = word(from, c);
      if (c == channels) continue;
      uint32_t tail = 0;
      for (int i = 0; c + i < channels; ++i) tail |= static_cast<uint32_t>(sign(from, c + i)) << i;
      *to++ = tail;
    }
  }

  static void pack_float(const float* from, size_t stride, int rows, int channels, uint32_t* to) {
    pack(
        from, stride, rows, channels, to,
        [](const float* row, int c) { return Tile::below_zero(row + c); },
        [](const float* row, int c) { return row[c] < 0; });
  }

  static void pack_affine(const float* from, size_t stride, int rows, int channels,
                          const float* scale, const float* offset, uint32_t* to) {
    pack(
        from, stride, rows, channels, to,
        [=](const float* row, int c) { return Tile::below_zero(row + c, scale + c, offset + c); },
        [=](const float* row, int c) {
          const float product = row[c] * scale[c];
          return product + offset[c] < 0;
        });
  }

  static void pack_int8(const int8_t* from, int rows, int channels, int32_t zero_point,
                        uint32_t* to) {
    // A zero point beyond int8 makes all values negative, or none.
    const uint32_t above = zero_point > 127 ? ~0u : 0;
    const bool inside = zero_point >= -128 && zero_point <= 127;
    const int8_t limit = static_cast<int8_t>(inside ? zero_point : 0);
    pack(
        from, channels, rows, channels, to,
        [=](const int8_t* row, int c) { return inside ? Tile::below(row + c, limit) : above; },
        [=](const int8_t* row, int c) { return row[c] < zero_point; });
  }

  template <const KernelInfo& kInfo>
  static constexpr PackKernel kernel() {
    static_assert(kInfo.mr == 1 && kInfo.nr == 32, "variants.inc has the tile");
    return {kInfo, pack_float, pack_affine, pack_int8};
  }
};

}  // namespace
}  // namespace b1
