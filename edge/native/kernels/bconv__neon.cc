// NEON: 4 pixels x 16 channels on aarch64, with its 32 registers; 2 x 8 on armv7, which has 16.
//
// A register holds one word of four channels. A step of a tile is EOR, CNT and ADD for each of its
// registers, with counts gathering in bytes, at most 8 a step, so that they are widened before 32
// steps would overflow them.
#include <arm_neon.h>

#include "bconv_tiled.h"
#include "variants.h"

namespace b1 {
namespace {

struct TileNeon {
  static constexpr Isa kIsa = Isa::kNeon;
#if defined(__aarch64__)
  static constexpr int kPixels = 4, kVectors = 4;
#else
  static constexpr int kPixels = 2, kVectors = 2;
#endif
  static constexpr int kChannels = 4 * kVectors;
  static constexpr int kStepsPerWidening = 31;
  static constexpr bool kPaired = false;

  static bool finish(const Finish&) { return false; }

  static uint32_t gather(const uint32x4_t* masks) {
    const uint32_t bits[4] = {1, 2, 4, 8};
    const uint32x4_t weights = vld1q_u32(bits);
    uint32_t word = 0;
    for (int half = 0; half < 2; ++half) {
      uint32x4_t sum = vdupq_n_u32(0);
      for (int i = 0; i < 4; ++i) {
        const uint32x4_t lane_bits = vandq_u32(masks[4 * half + i], weights);
        sum = vorrq_u32(sum, vshlq_u32(lane_bits, vdupq_n_s32(4 * i)));
      }
      const uint64x2_t pairs = vpaddlq_u32(sum);
      const uint64_t total = vgetq_lane_u64(pairs, 0) + vgetq_lane_u64(pairs, 1);
      word |= static_cast<uint32_t>(total) << (16 * half);
    }
    return word;
  }

  static uint32_t signs(const float* values) {
    uint32x4_t masks[8];
    for (int i = 0; i < 8; ++i) masks[i] = vcltq_f32(vld1q_f32(values + 4 * i), vdupq_n_f32(0));
    return gather(masks);
  }

  static uint32_t greater(const int32_t* a, const int32_t* b) {
    uint32x4_t masks[8];
    for (int i = 0; i < 8; ++i) masks[i] = vcgtq_s32(vld1q_s32(a + 4 * i), vld1q_s32(b + 4 * i));
    return gather(masks);
  }

  static void widen(uint8x16_t (*bytes)[kVectors], uint32x4_t (*sums)[kVectors]) {
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) {
        sums[p][v] = vpadalq_u16(sums[p][v], vpaddlq_u8(bytes[p][v]));
        bytes[p][v] = vdupq_n_u8(0);
      }
    }
  }

  // `steps` words of all pixels; at most kStepsPerWidening.
  static void add_steps(const uint32_t* const* pixels, ptrdiff_t at, int steps,
                        const uint32_t* filter, uint8x16_t (*bytes)[kVectors]) {
    const uint32_t* x[kPixels];
    for (int p = 0; p < kPixels; ++p) x[p] = pixels[p] + at;
    for (int step = 0; step < steps; ++step) {
      uint8x16_t weights[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        weights[v] = vreinterpretq_u8_u32(vld1q_u32(filter + 4 * v));
      }
      filter += kChannels;
      for (int p = 0; p < kPixels; ++p) {
        const uint8x16_t word = vreinterpretq_u8_u32(vld1q_dup_u32(x[p]++));
        for (int v = 0; v < kVectors; ++v) {
          bytes[p][v] = vaddq_u8(bytes[p][v], vcntq_u8(veorq_u8(weights[v], word)));
        }
      }
    }
  }

  static void accumulate(const uint32_t* const* pixels, const Runs& runs, const uint32_t* filter,
                         int32_t* out) {
    uint8x16_t bytes[kPixels][kVectors];
    uint32x4_t sums[kPixels][kVectors];
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) {
        bytes[p][v] = vdupq_n_u8(0);
        sums[p][v] = vdupq_n_u32(0);
      }
    }
    int room = kStepsPerWidening;
    for (int row = 0; row < runs.rows; ++row) {
      for (int tap = 0; tap < runs.taps; ++tap) {
        ptrdiff_t at = static_cast<ptrdiff_t>(row) * runs.row_step + tap * runs.tap_step;
        int left = runs.words;
        while (left > 0) {
          const int steps = left < room ? left : room;
          add_steps(pixels, at, steps, filter, bytes);
          filter += steps * kChannels;
          at += steps;
          left -= steps;
          room -= steps;
          if (room == 0) {
            widen(bytes, sums);
            room = kStepsPerWidening;
          }
        }
      }
    }
    widen(bytes, sums);
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) {
        vst1q_s32(out + p * kBlock + 4 * v, vreinterpretq_s32_u32(sums[p][v]));
      }
    }
  }
};

}  // namespace

#if defined(__aarch64__)
const BconvKernel kBconvNeon = TiledBconv<TileNeon>::kernel("b1_bconv_4x16__neon");
#else
const BconvKernel kBconvNeon = TiledBconv<TileNeon>::kernel("b1_bconv_2x8__neon");
#endif

}  // namespace b1
