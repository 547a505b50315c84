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
  static void pack_float(const float* from, size_t stride, int rows, int channels, uint32_t* to) {
    for (int row = 0; row < rows; ++row) {
      int c = 0;
      for (; c + 32 <= channels; c += 32) *to++ = Tile::below_zero(from + c);
      if (c < channels) {
        uint32_t word = 0;
        for (int i = 0; c + i < channels; ++i) word |= static_cast<uint32_t>(from[c + i] < 0) << i;
        *to++ = word;
      }
      from += stride;
    }
  }

  static void pack_affine(const float* from, size_t stride, int rows, int channels,
                          const float* scale, const float* offset, uint32_t* to) {
    for (int row = 0; row < rows; ++row) {
      int c = 0;
      for (; c + 32 <= channels; c += 32) {
        *to++ = Tile::below_zero(from + c, scale + c, offset + c);
      }
      if (c < channels) {
        uint32_t word = 0;
        for (int i = 0; c + i < channels; ++i) {
          const float product = from[c + i] * scale[c + i];
          word |= static_cast<uint32_t>(product + offset[c + i] < 0) << i;
        }
        *to++ = word;
      }
      from += stride;
    }
  }

  static void pack_int8(const int8_t* from, int rows, int channels, int32_t zero_point,
                        uint32_t* to) {
    // A zero point beyond int8 makes all values negative, or none.
    const uint32_t above = zero_point > 127 ? ~0u : 0;
    const bool inside = zero_point >= -128 && zero_point <= 127;
    const int8_t limit = static_cast<int8_t>(inside ? zero_point : 0);
    for (int row = 0; row < rows; ++row) {
      int c = 0;
      for (; c + 32 <= channels; c += 32) *to++ = inside ? Tile::below(from + c, limit) : above;
      if (c < channels) {
        uint32_t word = 0;
        for (int i = 0; c + i < channels; ++i) {
          word |= static_cast<uint32_t>(from[c + i] < zero_point) << i;
        }
        *to++ = word;
      }
      from += channels;
    }
  }

  static constexpr PackKernel kernel(const char* name, Isa isa) {
    return {name, isa, pack_float, pack_affine, pack_int8};
  }
};

}  // namespace
}  // namespace b1
