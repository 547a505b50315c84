#include "pack_rows.h"
#include "variants.h"

namespace b1 {
namespace {

struct Tile {
  static uint32_t below_zero(const float* values) {
    uint32_t word = 0;
    for (int i = 0; i < 32; ++i) word |= static_cast<uint32_t>(values[i] < 0) << i;
    return word;
  }
  static uint32_t below_zero(const float* values, const float* scale, const float* offset) {
    uint32_t word = 0;
    for (int i = 0; i < 32; ++i) {
      const float product = values[i] * scale[i];
      word |= static_cast<uint32_t>(product + offset[i] < 0) << i;
    }
    return word;
  }
  static uint32_t below(const int8_t* values, int8_t zero_point) {
    uint32_t word = 0;
    for (int i = 0; i < 32; ++i) word |= static_cast<uint32_t>(values[i] < zero_point) << i;
    return word;
  }
};

}  // namespace

const PackKernel kPackScalar = PackRows<Tile>::kernel<kPackScalarInfo>();

}  // namespace b1
