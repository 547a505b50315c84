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
  static constexpr int kMaxSteps = 31;
  static constexpr bool kPaired = false;

  // Bit i is lane i % 4 of mask i / 4: narrows the masks to bytes, and adds powers of two in pairs.
  static uint32_t gather(const uint32x4_t* masks) {
    const uint8_t powers[16] = {1, 2, 4, 8, 16, 32, 64, 128, 1, 2, 4, 8, 16, 32, 64, 128};
    const uint8x16_t weights = vld1q_u8(powers);
    uint8x8_t sums[2];
    for (int half = 0; half < 2; ++half) {
      const uint32x4_t* m = masks + 4 * half;
      const uint16x8_t low = vcombine_u16(vmovn_u32(m[0]), vmovn_u32(m[1]));
      const uint16x8_t high = vcombine_u16(vmovn_u32(m[2]), vmovn_u32(m[3]));
      const uint8x16_t bits = vandq_u8(vcombine_u8(vmovn_u16(low), vmovn_u16(high)), weights);
      sums[half] = vpadd_u8(vget_low_u8(bits), vget_high_u8(bits));
    }
    const uint8x8_t sum = vpadd_u8(sums[0], sums[1]);
    return vget_lane_u32(vreinterpret_u32_u8(vpadd_u8(sum, sum)), 0);
  }

  // Chains of bitpacked convolutions are what a small tile's epilogue weighs on most.
  static bool finish(const Finish& f) {
    if (f.call.epilogue->output != BconvOutput::kBits || f.correction) return false;
    const size_t words = words_for(f.call.shape->channels_out);
    uint32_t* out = f.call.out_bits + f.first_pixel * words + f.channel / 32;
    for (int i = 0; i < f.pixels; ++i) {
      out[i * words] = greater(f.sums + i * kBlock, f.call.epilogue->thresholds + f.channel);
    }
    return true;
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

  // One word of one pixel. In assembly, because compilers, given intrinsics, compute all XORs of a
  // step before the first count, and spill.
  static void add_word(const uint8x16_t* weights, const uint32_t* x, uint8x16_t* bytes) {
    const uint8x16_t word = vreinterpretq_u8_u32(vld1q_dup_u32(x));
#if defined(__aarch64__)
    uint8x16_t t0, t1, t2, t3;
    __asm__(
        "eor %[t0].16b, %[w0].16b, %[x].16b\n\t"
        "eor %[t1].16b, %[w1].16b, %[x].16b\n\t"
        "eor %[t2].16b, %[w2].16b, %[x].16b\n\t"
        "eor %[t3].16b, %[w3].16b, %[x].16b\n\t"
        "cnt %[t0].16b, %[t0].16b\n\t"
        "cnt %[t1].16b, %[t1].16b\n\t"
        "cnt %[t2].16b, %[t2].16b\n\t"
        "cnt %[t3].16b, %[t3].16b\n\t"
        "add %[b0].16b, %[b0].16b, %[t0].16b\n\t"
        "add %[b1].16b, %[b1].16b, %[t1].16b\n\t"
        "add %[b2].16b, %[b2].16b, %[t2].16b\n\t"
        "add %[b3].16b, %[b3].16b, %[t3].16b"
        : [t0] "=&w"(t0), [t1] "=&w"(t1), [t2] "=&w"(t2), [t3] "=&w"(t3), [b0] "+w"(bytes[0]),
          [b1] "+w"(bytes[1]), [b2] "+w"(bytes[2]), [b3] "+w"(bytes[3])
        : [w0] "w"(weights[0]), [w1] "w"(weights[1]), [w2] "w"(weights[2]), [w3] "w"(weights[3]),
          [x] "w"(word));
#else
    for (int v = 0; v < kVectors; ++v) {
      bytes[v] = vaddq_u8(bytes[v], vcntq_u8(veorq_u8(weights[v], word)));
    }
#endif
  }

  // Adds `taps` runs of `words` words of all pixels to the sums; taps * words <= kMaxSteps. The
  // sums stay in memory: the counts, a step's weights and its inputs fill the registers.
  template <bool kFirst>
  static void add_runs(const uint32_t* const* pixels, ptrdiff_t at, int taps, int tap_step,
                       int words, const uint32_t* filter, int32_t* sums) {
    uint8x16_t counts[kPixels][kVectors];
    for (auto& pixel : counts) {
      for (auto& count : pixel) count = vdupq_n_u8(0);
    }
    for (int tap = 0; tap < taps; ++tap, at += tap_step) {
      const uint32_t* x[kPixels];
      for (int p = 0; p < kPixels; ++p) x[p] = pixels[p] + at;
      for (const uint32_t* end = filter + words * kChannels; filter != end; filter += kChannels) {
        uint8x16_t weights[kVectors];
        for (int v = 0; v < kVectors; ++v) {
          weights[v] = vreinterpretq_u8_u32(vld1q_u32(filter + 4 * v));
        }
        for (int p = 0; p < kPixels; ++p) add_word(weights, x[p]++, counts[p]);
      }
    }
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) {
        uint32_t* sum = reinterpret_cast<uint32_t*>(sums + p * kBlock + 4 * v);
        const uint16x8_t pairs = vpaddlq_u8(counts[p][v]);
        vst1q_u32(sum, kFirst ? vpaddlq_u16(pairs) : vpadalq_u16(vld1q_u32(sum), pairs));
      }
    }
  }

  static void accumulate(const uint32_t* const* pixels, const Runs& runs, const uint32_t* filter,
                         int32_t* sums) {
    const bool whole_rows = runs.taps * runs.words <= kMaxSteps;
    for (int row = 0; row < runs.rows; ++row) {
      const ptrdiff_t start = static_cast<ptrdiff_t>(row) * runs.row_step;
      if (whole_rows) {
        const auto add = row == 0 ? add_runs<true> : add_runs<false>;
        add(pixels, start, runs.taps, runs.tap_step, runs.words, filter, sums);
        filter += runs.taps * runs.words * kChannels;
        continue;
      }
      for (int tap = 0; tap < runs.taps; ++tap) {
        for (int word = 0; word < runs.words; word += kMaxSteps) {
          const int words = runs.words - word < kMaxSteps ? runs.words - word : kMaxSteps;
          const ptrdiff_t at = start + static_cast<ptrdiff_t>(tap) * runs.tap_step + word;
          const auto add = row + tap + word == 0 ? add_runs<true> : add_runs<false>;
          add(pixels, at, 1, 0, words, filter, sums);
          filter += words * kChannels;
        }
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
