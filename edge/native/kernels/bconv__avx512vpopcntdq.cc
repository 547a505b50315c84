// AVX-512 with VPOPCNTDQ: 7 pixels x 32 channels. 7 divides 56, 28, 14 and 7, so that the usual
// image sizes leave no ragged tile, and 14 accumulators leave room for the paired tile's second
// state.
#include <immintrin.h>

#include "bconv_tiled.h"
#include "variants.h"

namespace b1 {
namespace {

struct EpilogueAvx512 {
  static uint32_t signs(const float* values) {
    const __m512 zero = _mm512_setzero_ps();
    const uint32_t low = _mm512_cmp_ps_mask(_mm512_load_ps(values), zero, _CMP_LT_OQ);
    const uint32_t high = _mm512_cmp_ps_mask(_mm512_load_ps(values + 16), zero, _CMP_LT_OQ);
    return low | high << 16;
  }
  static uint32_t greater(const int32_t* a, const int32_t* b) {
    const uint32_t low = _mm512_cmpgt_epi32_mask(_mm512_load_si512(a), _mm512_load_si512(b));
    const uint32_t high =
        _mm512_cmpgt_epi32_mask(_mm512_load_si512(a + 16), _mm512_load_si512(b + 16));
    return low | high << 16;
  }

  // The portable epilogue goes through memory between its steps; at 64 channels, where a tile has
  // only 18 steps, that took as long as the convolution.
  static bool finish(const Finish& f) {
    switch (f.call.epilogue->output) {
      case BconvOutput::kFloat:
        f.call.epilogue->has_add ? finish_float<true>(f) : finish_float<false>(f);
        return true;
      case BconvOutput::kBits:
        finish_bits(f);
        return true;
      default:
        return false;
    }
  }

  // 2a + correction of 16 channels of pixel `i`.
  static __m512i doubled(const Finish& f, int i, int half) {
    const __m512i sum = _mm512_slli_epi32(_mm512_load_si512(f.sums + i * kBlock + 16 * half), 1);
    if (!f.correction) return sum;
    return _mm512_add_epi32(sum, _mm512_loadu_si512(f.correction[i] + 16 * half));
  }

  static void finish_bits(const Finish& f) {
    const size_t words = words_for(f.call.shape->channels_out);
    uint32_t* out = f.call.out_bits + f.first_pixel * words + f.channel / 32;
    const int32_t* thresholds = f.call.epilogue->thresholds + f.channel;
    const __m512i low = _mm512_slli_epi32(_mm512_loadu_si512(thresholds), 1);
    const __m512i high = _mm512_slli_epi32(_mm512_loadu_si512(thresholds + 16), 1);
    for (int i = 0; i < f.pixels; ++i, out += words) {
      const uint32_t first = _mm512_cmpgt_epi32_mask(doubled(f, i, 0), low);
      const uint32_t second = _mm512_cmpgt_epi32_mask(doubled(f, i, 1), high);
      *out = first | second << 16;
    }
  }

  template <bool kAdd>
  static void finish_float(const Finish& f) {
    const BconvEpilogue& e = *f.call.epilogue;
    const size_t channels = f.call.shape->channels_out,
                 words = words_for(f.call.shape->channels_out);
    const size_t at = f.first_pixel * channels + f.channel;
    float* out = f.call.out_float ? f.call.out_float + at : nullptr;
    const float* residual = kAdd ? f.call.residual + at : nullptr;
    uint32_t* bits =
        f.call.out_bits ? f.call.out_bits + f.first_pixel * words + f.channel / 32 : nullptr;
    const __m512i low = _mm512_set1_epi32(e.clamp_min), high = _mm512_set1_epi32(e.clamp_max);
    const __m512 add_low = _mm512_set1_ps(e.add_min), add_high = _mm512_set1_ps(e.add_max);
    const __m512 zero = _mm512_setzero_ps();
    const __m512 multiplier[] = {_mm512_loadu_ps(e.multiplier + f.channel),
                                 _mm512_loadu_ps(e.multiplier + f.channel + 16)};
    const __m512 bias[] = {_mm512_loadu_ps(e.bias + f.channel),
                           _mm512_loadu_ps(e.bias + f.channel + 16)};
    for (int i = 0; i < f.pixels; ++i) {
      __m512 value[2];
      for (int half = 0; half < 2; ++half) {
        __m512i t = doubled(f, i, half);
        if (e.has_clamp) t = _mm512_max_epi32(_mm512_min_epi32(t, high), low);
        __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(t), multiplier[half]);
        y = _mm512_add_ps(y, bias[half]);
        if (kAdd) {
          y = _mm512_add_ps(y, _mm512_loadu_ps(residual + i * channels + 16 * half));
          // The operands' order keeps NaN and the sign of zero as the scalar comparisons do.
          if (e.has_add_clamp) y = _mm512_min_ps(add_high, _mm512_max_ps(add_low, y));
        }
        if (out) _mm512_storeu_ps(out + i * channels + 16 * half, y);
        value[half] = y;
      }
      if (bits) {
        const uint32_t first = _mm512_cmp_ps_mask(value[0], zero, _CMP_LT_OQ);
        const uint32_t second = _mm512_cmp_ps_mask(value[1], zero, _CMP_LT_OQ);
        bits[i * words] = first | second << 16;
      }
    }
  }
};

// Three instructions per 512 products: XOR, VPOPCNTD, ADD.
struct TileAvx512 : EpilogueAvx512 {
  static constexpr Isa kIsa = Isa::kAvx512Vpopcntdq;
  static constexpr int kPixels = 7, kChannels = 32;
  static constexpr bool kPaired = false;

  static void accumulate(const uint32_t* const* pixels, const Runs& runs, const uint32_t* filter,
                         int32_t* sums) {
    __m512i sum[kPixels][2];
    for (auto& pixel : sum) pixel[0] = pixel[1] = _mm512_setzero_si512();
    for (int row = 0; row < runs.rows; ++row) {
      for (int tap = 0; tap < runs.taps; ++tap) {
        const ptrdiff_t first = static_cast<ptrdiff_t>(row) * runs.row_step + tap * runs.tap_step;
        for (ptrdiff_t at = first; at < first + runs.words; ++at) {
#pragma GCC unroll 2
          for (int v = 0; v < 2; ++v) {
            const __m512i weight = _mm512_loadu_si512(filter + 16 * v);
#pragma GCC unroll 7
            for (int p = 0; p < kPixels; ++p) {
              const __m512i x = _mm512_set1_epi32(static_cast<int>(pixels[p][at]));
              const __m512i differing = _mm512_xor_si512(weight, x);
              sum[p][v] = _mm512_add_epi32(sum[p][v], _mm512_popcnt_epi32(differing));
            }
          }
          filter += kChannels;
        }
      }
    }
    for (int p = 0; p < kPixels; ++p) {
      _mm512_store_si512(sums + p * kBlock, sum[p][0]);
      _mm512_store_si512(sums + p * kBlock + 16, sum[p][1]);
    }
  }
};

// Five instructions per 1024 products. Each accumulator keeps, beside a count, a vector `ones` of
// single bits: a carry-save adder. For a pair of products a = w0^x0, b = w1^x1 it takes
//   ones' = ones ^ a ^ b = ones ^ (w0^w1) ^ (x0^x1)      one ternary operation: the filter holds
//                                                        w0^w1, the frame x0^x1, and b is not
//                                                        needed
//   carry = majority(ones, a, b) = ones if ones^ones' else a      one ternary operation
// and counts the carries, each of which stands for two products.
struct TilePairedAvx512 : EpilogueAvx512 {
  static constexpr Isa kIsa = Isa::kAvx512Vpopcntdq;
  static constexpr int kPixels = 7, kChannels = 32;
  static constexpr bool kPaired = true;
  static constexpr int kXor3 = 0x96, kCarry = 0xD4;  // truth tables; kCarry over (a, ones, ones')

  // In assembly because 28 vectors of state, two of weights and two temporaries are all 32
  // registers: compilers given intrinsics keep one broadcast too many and spill.
  static void add_pair(__m512i weight, __m512i both, const uint32_t* x, __m512i* ones,
                       __m512i* sum) {
    __m512i carry, before;
    __asm__(
        "vmovdqa64 %[ones], %[before]\n\t"
        "vpxord %[x]%{1to16%}, %[weight], %[carry]\n\t"
        "vpternlogd %[xor3], %[x_both]%{1to16%}, %[both], %[ones]\n\t"
        "vpternlogd %[majority], %[ones], %[before], %[carry]\n\t"
        "vpopcntd %[carry], %[carry]\n\t"
        "vpaddd %[carry], %[sum], %[sum]"
        : [ones] "+v"(*ones), [sum] "+v"(*sum), [carry] "=&v"(carry), [before] "=&v"(before)
        : [weight] "v"(weight), [both] "v"(both), [x] "m"(x[0]), [x_both] "m"(x[1]),
          [xor3] "i"(kXor3), [majority] "i"(kCarry));
  }

  static void accumulate(const uint32_t* const* pixels, const Runs& runs, const uint32_t* filter,
                         int32_t* sums) {
    __m512i sum[kPixels][2], ones[kPixels][2];
    for (int p = 0; p < kPixels; ++p) {
      sum[p][0] = sum[p][1] = ones[p][0] = ones[p][1] = _mm512_setzero_si512();
    }
    for (int row = 0; row < runs.rows; ++row) {
      for (int tap = 0; tap < runs.taps; ++tap) {
        const ptrdiff_t first = static_cast<ptrdiff_t>(row) * runs.row_step + tap * runs.tap_step;
        for (ptrdiff_t at = first; at < first + runs.words; at += 2) {
#pragma GCC unroll 2
          for (int v = 0; v < 2; ++v) {
            const __m512i weight = _mm512_loadu_si512(filter + 16 * v);
            const __m512i both = _mm512_loadu_si512(filter + kChannels + 16 * v);
#pragma GCC unroll 7
            for (int p = 0; p < kPixels; ++p) {
              add_pair(weight, both, pixels[p] + at, &ones[p][v], &sum[p][v]);
            }
          }
          filter += 2 * kChannels;
        }
      }
    }
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < 2; ++v) {
        const __m512i twice = _mm512_add_epi32(sum[p][v], sum[p][v]);
        _mm512_store_si512(sums + p * kBlock + 16 * v,
                           _mm512_add_epi32(twice, _mm512_popcnt_epi32(ones[p][v])));
      }
    }
  }
};

}  // namespace

const BconvKernel kBconvAvx512 = TiledBconv<TileAvx512>::kernel("b1_bconv_7x32__avx512vpopcntdq");
const BconvKernel kBconvPairedAvx512 =
    TiledBconv<TilePairedAvx512>::kernel("b1_bconv_7x32p2__avx512vpopcntdq");

}  // namespace b1
