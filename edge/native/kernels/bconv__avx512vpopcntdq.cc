// AVX-512 with VPOPCNTDQ: groups of 7 pixels x 32 channels. 7 divides 56, 28, 14 and 7, so that the
// usual image sizes leave no ragged group, and 14 accumulators leave room for the paired tile's
// second state.
#include "variants.h"
#include "vector_avx512.h"

namespace b1 {
namespace {

// Three instructions per 512 products: XOR, VPOPCNTD, ADD.
struct TileAvx512 : EpilogueAvx512 {
  static constexpr int kMr = 28, kMrStep = 7, kNr = 32;
  static constexpr bool kPaired = false;

  template <int kCount>
  static void accumulate(const uint32_t* const* pixels, int, const TapRuns& runs,
                         const uint32_t* filter, int32_t* sums) {
    __m512i sum[kCount][2];
    for (auto& pixel : sum) pixel[0] = pixel[1] = _mm512_setzero_si512();
    for (int row = 0; row < runs.rows; ++row) {
      for (int tap = 0; tap < runs.taps; ++tap) {
        const ptrdiff_t first = row * runs.row_step + tap * runs.tap_step;
        for (ptrdiff_t at = first; at < first + runs.words; ++at) {
#pragma GCC unroll 2
          for (int v = 0; v < 2; ++v) {
            const __m512i weight = _mm512_loadu_si512(filter + 16 * v);
#pragma GCC unroll 7
            for (int p = 0; p < kCount; ++p) {
              const __m512i x = _mm512_set1_epi32(static_cast<int>(pixels[p][at]));
              const __m512i differing = _mm512_xor_si512(weight, x);
              sum[p][v] = _mm512_add_epi32(sum[p][v], _mm512_popcnt_epi32(differing));
            }
          }
          filter += kNr;
        }
      }
    }
    for (int p = 0; p < kCount; ++p) {
      _mm512_store_si512(sums + p * kBlock, sum[p][0]);
      _mm512_store_si512(sums + p * kBlock + 16, sum[p][1]);
    }
  }
};

// Five instructions per 1024 products. Each accumulator keeps, beside a count, a vector `ones` of
// single bits: a carry-save adder. For a pair of products a = w0^x0, b = w1^x1 it takes
//   ones' = ones ^ a ^ b = ones ^ (w0^w1) ^ (x0^x1)      one ternary operation: the filter holds
//                                                        w0^w1, the input x0^x1, and b is not
//                                                        needed
//   carry = majority(ones, a, b) = ones if ones^ones' else a      one ternary operation
// and counts the carries, each of which stands for two products.
struct TilePairedAvx512 : EpilogueAvx512 {
  static constexpr int kMr = 28, kMrStep = 7, kNr = 32;
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

  template <int kCount>
  static void accumulate(const uint32_t* const* pixels, int, const TapRuns& runs,
                         const uint32_t* filter, int32_t* sums) {
    __m512i sum[kCount][2], ones[kCount][2];
    for (int p = 0; p < kCount; ++p) {
      sum[p][0] = sum[p][1] = ones[p][0] = ones[p][1] = _mm512_setzero_si512();
    }
    for (int row = 0; row < runs.rows; ++row) {
      for (int tap = 0; tap < runs.taps; ++tap) {
        const ptrdiff_t first = row * runs.row_step + tap * runs.tap_step;
        for (ptrdiff_t at = first; at < first + runs.words; at += 2) {
#pragma GCC unroll 2
          for (int v = 0; v < 2; ++v) {
            const __m512i weight = _mm512_loadu_si512(filter + 16 * v);
            const __m512i both = _mm512_loadu_si512(filter + kNr + 16 * v);
#pragma GCC unroll 7
            for (int p = 0; p < kCount; ++p) {
              add_pair(weight, both, pixels[p] + at, &ones[p][v], &sum[p][v]);
            }
          }
          filter += 2 * kNr;
        }
      }
    }
    for (int p = 0; p < kCount; ++p) {
      for (int v = 0; v < 2; ++v) {
        const __m512i twice = _mm512_add_epi32(sum[p][v], sum[p][v]);
        _mm512_store_si512(sums + p * kBlock + 16 * v,
                           _mm512_add_epi32(twice, _mm512_popcnt_epi32(ones[p][v])));
      }
    }
  }
};

}  // namespace

const BconvKernel kBconvAvx512 = TiledBconv<TileAvx512>::kernel<kBconvAvx512Info>();
const BconvKernel kBconvPairedAvx512 =
    TiledBconv<TilePairedAvx512>::kernel<kBconvPairedAvx512Info>();

}  // namespace b1
