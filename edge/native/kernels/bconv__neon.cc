// NEON: groups of 4 pixels x 16 channels on aarch64, with its 32 registers; 2 x 8 on armv7, which
// has 16.
//
// A register holds one word of four channels. A step of a tile is EOR, CNT and ADD for each of its
// registers, with counts gathering in bytes, at most 8 a step, so that they are widened before 32
// steps would overflow them.
#include <arm_neon.h>

#include "epilogue.h"
#include "variants.h"

namespace b1 {
namespace {

struct VectorNeon {
  static constexpr int kLanes = 4;
  using Int = int32x4_t;
  using Float = float32x4_t;
  using Mask = uint32x4_t;

  static Int load(const int32_t* from) { return vld1q_s32(from); }
  static Float load(const float* from) { return vld1q_f32(from); }
  static void store(float* to, Float v) { vst1q_f32(to, v); }
  static Int set(int32_t v) { return vdupq_n_s32(v); }
  static Float set(float v) { return vdupq_n_f32(v); }
  static Int add(Int a, Int b) { return vaddq_s32(a, b); }
  static Int twice(Int a) { return vshlq_n_s32(a, 1); }
  static Int min(Int a, Int b) { return vminq_s32(a, b); }
  static Int max(Int a, Int b) { return vmaxq_s32(a, b); }
  static Float to_float(Int a) { return vcvtq_f32_s32(a); }
  static Float multiply(Float a, Float b) { return vmulq_f32(a, b); }
  static Float add(Float a, Float b) { return vaddq_f32(a, b); }
  static Float clamp(Float v, Float low, Float high) {
    // Not vmaxq, which takes +0 for greater than -0 and would change the sign of a zero.
    v = vbslq_f32(vcltq_f32(v, low), low, v);
    return vbslq_f32(vcgtq_f32(v, high), high, v);
  }
  static Mask below_zero(Float a) { return vcltq_f32(a, vdupq_n_f32(0)); }
  static Mask above(Int a, Int b) { return vcgtq_s32(a, b); }

  // Bit i is lane i % 4 of mask i / 4: narrows the masks to bytes, and adds powers of two in pairs.
  static uint32_t word(const Mask* masks) {
    const uint8_t powers[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t weights = vld1q_u8(powers);
    uint8x16_t bits[2];
    for (int half = 0; half < 2; ++half) {
      const uint32x4_t* m = masks + 4 * half;
#if defined(__aarch64__)
      // The even lanes of two masks: half as many instructions as narrowing each.
      const uint16x8_t low = vuzp1q_u16(vreinterpretq_u16_u32(m[0]), vreinterpretq_u16_u32(m[1]));
      const uint16x8_t high = vuzp1q_u16(vreinterpretq_u16_u32(m[2]), vreinterpretq_u16_u32(m[3]));
      const uint8x16_t bytes = vuzp1q_u8(vreinterpretq_u8_u16(low), vreinterpretq_u8_u16(high));
#else
      const uint16x8_t low = vcombine_u16(vmovn_u32(m[0]), vmovn_u32(m[1]));
      const uint16x8_t high = vcombine_u16(vmovn_u32(m[2]), vmovn_u32(m[3]));
      const uint8x16_t bytes = vcombine_u8(vmovn_u16(low), vmovn_u16(high));
#endif
      bits[half] = vandq_u8(bytes, weights);
    }
#if defined(__aarch64__)
    const uint8x16_t pairs = vpaddq_u8(bits[0], bits[1]), fours = vpaddq_u8(pairs, pairs);
    return vgetq_lane_u32(vreinterpretq_u32_u8(vpaddq_u8(fours, fours)), 0);
#else
    const uint8x8_t sums[] = {vpadd_u8(vget_low_u8(bits[0]), vget_high_u8(bits[0])),
                              vpadd_u8(vget_low_u8(bits[1]), vget_high_u8(bits[1]))};
    const uint8x8_t sum = vpadd_u8(sums[0], sums[1]);
    return vget_lane_u32(vreinterpret_u32_u8(vpadd_u8(sum, sum)), 0);
#endif
  }
};

struct TileNeon : VectorEpilogue<VectorNeon> {
#if defined(__aarch64__)
  static constexpr int kMrStep = 4, kVectors = 4;
#else
  static constexpr int kMrStep = 2, kVectors = 2;
#endif
  static constexpr int kMr = 16, kNr = 4 * kVectors;
  static constexpr int kMaxSteps = 31;
  static constexpr bool kPaired = false;

#if defined(__aarch64__)
  // Two words of one pixel; returns the next. In assembly, because compilers, given
  // intrinsics, compute all XORs of a step before the first count, and spill.
  static const uint32_t* add_pair(const uint8x16_t* w, const uint32_t* x, uint8x16_t* bytes) {
    uint8x16_t t0, t1, t2, t3;
    __asm__(
        "ld2r {v30.4s, v31.4s}, [%[x]], #8\n\t"
        "eor %[t0].16b, %[w0].16b, v30.16b\n\t"
        "eor %[t1].16b, %[w1].16b, v30.16b\n\t"
        "eor %[t2].16b, %[w2].16b, v30.16b\n\t"
        "eor %[t3].16b, %[w3].16b, v30.16b\n\t"
        "cnt %[t0].16b, %[t0].16b\n\t"
        "cnt %[t1].16b, %[t1].16b\n\t"
        "cnt %[t2].16b, %[t2].16b\n\t"
        "cnt %[t3].16b, %[t3].16b\n\t"
        "add %[b0].16b, %[b0].16b, %[t0].16b\n\t"
        "add %[b1].16b, %[b1].16b, %[t1].16b\n\t"
        "add %[b2].16b, %[b2].16b, %[t2].16b\n\t"
        "add %[b3].16b, %[b3].16b, %[t3].16b\n\t"
        "eor %[t0].16b, %[w4].16b, v31.16b\n\t"
        "eor %[t1].16b, %[w5].16b, v31.16b\n\t"
        "eor %[t2].16b, %[w6].16b, v31.16b\n\t"
        "eor %[t3].16b, %[w7].16b, v31.16b\n\t"
        "cnt %[t0].16b, %[t0].16b\n\t"
        "cnt %[t1].16b, %[t1].16b\n\t"
        "cnt %[t2].16b, %[t2].16b\n\t"
        "cnt %[t3].16b, %[t3].16b\n\t"
        "add %[b0].16b, %[b0].16b, %[t0].16b\n\t"
        "add %[b1].16b, %[b1].16b, %[t1].16b\n\t"
        "add %[b2].16b, %[b2].16b, %[t2].16b\n\t"
        "add %[b3].16b, %[b3].16b, %[t3].16b"
        : [t0] "=&w"(t0), [t1] "=&w"(t1), [t2] "=&w"(t2), [t3] "=&w"(t3), [b0] "+w"(bytes[0]),
          [b1] "+w"(bytes[1]), [b2] "+w"(bytes[2]), [b3] "+w"(bytes[3]), [x] "+r"(x)
        : [w0] "w"(w[0]), [w1] "w"(w[1]), [w2] "w"(w[2]), [w3] "w"(w[3]), [w4] "w"(w[4]),
          [w5] "w"(w[5]), [w6] "w"(w[6]), [w7] "w"(w[7])
        : "v30", "v31", "memory");
    return x;
  }
#endif

  // One word of one pixel.
  static void add_word(const uint8x16_t* weights, uint8x16_t word, uint8x16_t* bytes) {
    for (int v = 0; v < kVectors; ++v) {
      bytes[v] = vaddq_u8(bytes[v], vcntq_u8(veorq_u8(weights[v], word)));
    }
  }

  template <int kCount>
  static void load_weights(const uint32_t* filter, uint8x16_t* weights) {
    for (int v = 0; v < kCount; ++v) weights[v] = vreinterpretq_u8_u32(vld1q_u32(filter + 4 * v));
  }

  // Adds `taps` runs of `words` words of all pixels to the sums; taps * words <= kMaxSteps. The
  // sums stay in memory: the counts, a step's weights and its inputs fill the registers.
  template <int kCount, bool kFirst>
  static void add_runs(const uint32_t* const* pixels, ptrdiff_t at, int taps, ptrdiff_t tap_step,
                       int words, const uint32_t* filter, int32_t* sums) {
    uint8x16_t counts[kCount][kVectors];
    for (auto& pixel : counts) {
      for (auto& count : pixel) count = vdupq_n_u8(0);
    }
    for (int tap = 0; tap < taps; ++tap, at += tap_step) {
      const uint32_t* x[kCount];
      for (int p = 0; p < kCount; ++p) x[p] = pixels[p] + at;
      const uint32_t* end = filter + words * kNr;
#if defined(__aarch64__)
      // Two words at a time, which one LD2R loads and broadcasts.
      for (const uint32_t* pairs = filter + words / 2 * 2 * kNr; filter != pairs;
           filter += 2 * kNr) {
        uint8x16_t weights[2 * kVectors];
        load_weights<2 * kVectors>(filter, weights);
#pragma GCC unroll 4
        for (int p = 0; p < kCount; ++p) x[p] = add_pair(weights, x[p], counts[p]);
      }
#endif
      for (; filter != end; filter += kNr) {
        uint8x16_t weights[kVectors];
        load_weights<kVectors>(filter, weights);
        for (int p = 0; p < kCount; ++p) {
          add_word(weights, vreinterpretq_u8_u32(vld1q_dup_u32(x[p]++)), counts[p]);
        }
      }
    }
    for (int p = 0; p < kCount; ++p) {
      for (int v = 0; v < kVectors; ++v) {
        uint32_t* sum = reinterpret_cast<uint32_t*>(sums + p * kBlock + 4 * v);
        const uint16x8_t pairs = vpaddlq_u8(counts[p][v]);
        vst1q_u32(sum, kFirst ? vpaddlq_u16(pairs) : vpadalq_u16(vld1q_u32(sum), pairs));
      }
    }
  }

  template <int kCount>
  static void accumulate(const uint32_t* const* pixels, int, const TapRuns& runs,
                         const uint32_t* filter, int32_t* sums) {
    const bool whole_rows = runs.taps * runs.words <= kMaxSteps;
    for (int row = 0; row < runs.rows; ++row) {
      const ptrdiff_t start = row * runs.row_step;
      if (whole_rows) {
        const auto add = row == 0 ? add_runs<kCount, true> : add_runs<kCount, false>;
        add(pixels, start, runs.taps, runs.tap_step, runs.words, filter, sums);
        filter += runs.taps * runs.words * kNr;
        continue;
      }
      for (int tap = 0; tap < runs.taps; ++tap) {
        for (int word = 0; word < runs.words; word += kMaxSteps) {
          const int words = min(runs.words - word, kMaxSteps);
          const ptrdiff_t at = start + tap * runs.tap_step + word;
          const auto add = row + tap + word == 0 ? add_runs<kCount, true> : add_runs<kCount, false>;
          add(pixels, at, 1, 0, words, filter, sums);
          filter += words * kNr;
        }
      }
    }
  }
};

}  // namespace

const BconvKernel kBconvNeon = TiledBconv<TileNeon>::kernel<kBconvNeonInfo>();

}  // namespace b1
