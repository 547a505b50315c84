#include <arm_neon.h>

#include "pack_rows.h"
#include "variants.h"

namespace b1 {
namespace {

struct Tile {
  static uint32_t below_zero(const float* values) {
    return word_of([=](int i) { return vld1q_f32(values + i); });
  }
  static uint32_t below_zero(const float* values, const float* scale, const float* offset) {
    return word_of([=](int i) {
      const float32x4_t product = vmulq_f32(vld1q_f32(values + i), vld1q_f32(scale + i));
      return vaddq_f32(product, vld1q_f32(offset + i));
    });
  }
  static uint32_t below(const int8_t* values, int8_t zero_point) {
    const uint8_t bits[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t weights = vld1q_u8(bits);
    const int8x16_t limit = vdupq_n_s8(zero_point);
    uint32_t word = 0;
    for (int i = 0; i < 2; ++i) {
      const uint8x16_t below = vandq_u8(vcltq_s8(vld1q_s8(values + 16 * i), limit), weights);
      const uint64x2_t sums = vpaddlq_u32(vpaddlq_u16(vpaddlq_u8(below)));
      const uint64_t pair = vgetq_lane_u64(sums, 0) | vgetq_lane_u64(sums, 1) << 8;
      word |= static_cast<uint32_t>(pair) << (16 * i);
    }
    return word;
  }

 private:
  // The signs of 32 floats; `load` gives four of them.
  template <class Load>
  static uint32_t word_of(Load load) {
    const uint32_t bits[4] = {1, 2, 4, 8};
    const uint32x4_t weights = vld1q_u32(bits);
    uint32x4_t low = vdupq_n_u32(0), high = low;
    for (int i = 0; i < 4; ++i) {
      const uint32x4_t a = vcltq_f32(load(4 * i), vdupq_n_f32(0));
      const uint32x4_t b = vcltq_f32(load(16 + 4 * i), vdupq_n_f32(0));
      low = vorrq_u32(low, vshlq_u32(vandq_u32(a, weights), vdupq_n_s32(4 * i)));
      high = vorrq_u32(high, vshlq_u32(vandq_u32(b, weights), vdupq_n_s32(4 * i)));
    }
    return fold(low) | fold(high) << 16;
  }
  // The lanes hold disjoint bits.
  static uint32_t fold(uint32x4_t v) {
    const uint64x2_t sums = vpaddlq_u32(v);
    return static_cast<uint32_t>(vgetq_lane_u64(sums, 0) + vgetq_lane_u64(sums, 1));
  }
};

}  // namespace

const PackKernel kPackNeon = PackRows<Tile>::kernel<kPackNeonInfo>();

}  // namespace b1
