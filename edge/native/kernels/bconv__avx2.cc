// AVX2: 2 pixels x 16 or 32 channels, popcount by table look-up (two PSHUFB per vector).
//
// Counts gather in bytes, at most 8 a step, so they are widened before 32 steps would overflow
// them.
#include <immintrin.h>

#include "epilogue.h"
#include "variants.h"

namespace b1 {
namespace {

struct VectorAvx2 {
  static constexpr int kLanes = 8;
  using Int = __m256i;
  using Float = __m256;
  using Mask = int;

  static Int load(const int32_t* from) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from));
  }
  static Float load(const float* from) { return _mm256_loadu_ps(from); }
  static void store(float* to, Float v) { _mm256_storeu_ps(to, v); }
  static Int set(int32_t v) { return _mm256_set1_epi32(v); }
  static Float set(float v) { return _mm256_set1_ps(v); }
  static Int add(Int a, Int b) { return _mm256_add_epi32(a, b); }
  static Int twice(Int a) { return _mm256_slli_epi32(a, 1); }
  static Int min(Int a, Int b) { return _mm256_min_epi32(a, b); }
  static Int max(Int a, Int b) { return _mm256_max_epi32(a, b); }
  static Float to_float(Int a) { return _mm256_cvtepi32_ps(a); }
  static Float multiply(Float a, Float b) { return _mm256_mul_ps(a, b); }
  static Float add(Float a, Float b) { return _mm256_add_ps(a, b); }
  static Float clamp(Float v, Float low, Float high) {
    // Of NaN and of equal operands these return the second.
    return _mm256_min_ps(high, _mm256_max_ps(low, v));
  }
  static Mask below_zero(Float a) {
    return _mm256_movemask_ps(_mm256_cmp_ps(a, _mm256_setzero_ps(), _CMP_LT_OQ));
  }
  static Mask above(Int a, Int b) {
    return _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(a, b)));
  }
  static uint32_t word(const Mask* masks) {
    return static_cast<uint32_t>(masks[0] | masks[1] << 8 | masks[2] << 16) |
           static_cast<uint32_t>(masks[3]) << 24;
  }
};

struct CountingAvx2 : VectorEpilogue<VectorAvx2> {
  static __m256i popcount_bytes(__m256i v) {
    const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i low = _mm256_and_si256(v, nibble);
    const __m256i high = _mm256_and_si256(_mm256_srli_epi32(v, 4), nibble);
    return _mm256_add_epi8(_mm256_shuffle_epi8(counts, low), _mm256_shuffle_epi8(counts, high));
  }

  // Sums of four bytes of counts, times kTimes.
  template <int kTimes>
  static __m256i sum_bytes(__m256i bytes) {
    const __m256i words = _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(kTimes));
    return _mm256_madd_epi16(words, _mm256_set1_epi16(1));
  }

  // Adds counts to sums and clears them.
  template <int kTimes>
  static void widen(__m256i* bytes, int32_t* sums) {
    __m256i* sum = reinterpret_cast<__m256i*>(sums);
    *sum = _mm256_add_epi32(*sum, sum_bytes<kTimes>(*bytes));
    *bytes = _mm256_setzero_si256();
  }
};

struct TileAvx2 : CountingAvx2 {
  static constexpr Isa kIsa = Isa::kAvx2;
  static constexpr int kPixels = 2, kChannels = 32, kVectors = 4;
  static constexpr int kStepsPerWidening = 31;
  static constexpr bool kPaired = false;

  static void widen_all(__m256i (*bytes)[kVectors], int32_t* sums) {
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) widen<1>(&bytes[p][v], sums + p * kBlock + 8 * v);
    }
  }

  static void accumulate(const uint32_t* const* pixels, const Runs& runs, const uint32_t* filter,
                         int32_t* sums) {
    __m256i bytes[kPixels][kVectors];
    memset(sums, 0, kPixels * kBlock * sizeof *sums);
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) bytes[p][v] = _mm256_setzero_si256();
    }
    int room = kStepsPerWidening;
    for (int row = 0; row < runs.rows; ++row) {
      for (int tap = 0; tap < runs.taps; ++tap) {
        ptrdiff_t at = static_cast<ptrdiff_t>(row) * runs.row_step + tap * runs.tap_step;
        const ptrdiff_t end = at + runs.words;
        while (at < end) {
          const ptrdiff_t stop = end - at < room ? end : at + room;
          room -= static_cast<int>(stop - at);
          for (; at < stop; ++at, filter += kChannels) {
            __m256i x[kPixels];
            for (int p = 0; p < kPixels; ++p) {
              x[p] = _mm256_set1_epi32(static_cast<int>(pixels[p][at]));
            }
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) {
              const __m256i weight =
                  _mm256_loadu_si256(reinterpret_cast<const __m256i*>(filter + 8 * v));
#pragma GCC unroll 2
              for (int p = 0; p < kPixels; ++p) {
                const __m256i counts = popcount_bytes(_mm256_xor_si256(weight, x[p]));
                bytes[p][v] = _mm256_add_epi8(bytes[p][v], counts);
              }
            }
          }
          if (room == 0) {
            widen_all(bytes, sums);
            room = kStepsPerWidening;
          }
        }
      }
    }
    widen_all(bytes, sums);
  }
};

// 13 instructions per 512 products instead of 16: pairs of words go through a carry-save adder, as
// in the AVX-512 kernel, and only carries are counted. Without a ternary operation the carry is
//   ones if ones ^ ones' else a  ==  a ^ ((ones ^ a) & (ones ^ ones'))
struct TilePairedAvx2 : CountingAvx2 {
  static constexpr Isa kIsa = Isa::kAvx2;
  static constexpr int kPixels = 2, kChannels = 16, kVectors = 2;
  static constexpr int kPairsPerWidening = 31;
  static constexpr int kShortPairs = 15;  // twice their counts and 8 single bits fit a byte
  static constexpr bool kPaired = true;

  static void add_pair(__m256i weight, __m256i both, __m256i x, __m256i x_both, __m256i* ones,
                       __m256i* bytes) {
    const __m256i a = _mm256_xor_si256(weight, x), changed = _mm256_xor_si256(both, x_both);
    const __m256i kept = _mm256_and_si256(_mm256_xor_si256(*ones, a), changed);
    *ones = _mm256_xor_si256(*ones, changed);
    *bytes = _mm256_add_epi8(*bytes, popcount_bytes(_mm256_xor_si256(a, kept)));
  }

  // Adds the words [at, end) of all pixels; returns the filter after them.
  static const uint32_t* add_run(const uint32_t* const* pixels, ptrdiff_t at, ptrdiff_t end,
                                 const uint32_t* filter, __m256i (*bytes)[kVectors],
                                 __m256i (*ones)[kVectors]) {
    for (; at < end; at += 2, filter += 2 * kChannels) {
#pragma GCC unroll 2
      for (int p = 0; p < kPixels; ++p) {
        const __m256i x = _mm256_set1_epi32(static_cast<int>(pixels[p][at]));
        const __m256i x_both = _mm256_set1_epi32(static_cast<int>(pixels[p][at + 1]));
#pragma GCC unroll 2
        for (int v = 0; v < kVectors; ++v) {
          const __m256i* weights = reinterpret_cast<const __m256i*>(filter + 8 * v);
          add_pair(_mm256_loadu_si256(weights), _mm256_loadu_si256(weights + kVectors), x, x_both,
                   &ones[p][v], &bytes[p][v]);
        }
      }
    }
    return filter;
  }

  static void accumulate(const uint32_t* const* pixels, const Runs& runs, const uint32_t* filter,
                         int32_t* sums) {
    __m256i bytes[kPixels][kVectors], ones[kPixels][kVectors];
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) bytes[p][v] = ones[p][v] = _mm256_setzero_si256();
    }
    if (runs.rows * runs.taps * runs.words <= 2 * kShortPairs) {
      for (int row = 0; row < runs.rows; ++row) {
        for (int tap = 0; tap < runs.taps; ++tap) {
          const ptrdiff_t at = static_cast<ptrdiff_t>(row) * runs.row_step + tap * runs.tap_step;
          filter = add_run(pixels, at, at + runs.words, filter, bytes, ones);
        }
      }
      for (int p = 0; p < kPixels; ++p) {
        for (int v = 0; v < kVectors; ++v) {
          const __m256i twice = _mm256_add_epi8(bytes[p][v], bytes[p][v]);
          const __m256i all = _mm256_add_epi8(twice, popcount_bytes(ones[p][v]));
          _mm256_store_si256(reinterpret_cast<__m256i*>(sums + p * kBlock + 8 * v),
                             sum_bytes<1>(all));
        }
      }
      return;
    }
    for (int p = 0; p < kPixels; ++p) memset(sums + p * kBlock, 0, kChannels * sizeof *sums);
    int room = kPairsPerWidening;
    for (int row = 0; row < runs.rows; ++row) {
      for (int tap = 0; tap < runs.taps; ++tap) {
        ptrdiff_t at = static_cast<ptrdiff_t>(row) * runs.row_step + tap * runs.tap_step;
        const ptrdiff_t end = at + runs.words;
        while (at < end) {
          const ptrdiff_t stop = end - at < 2 * room ? end : at + 2 * room;
          room -= static_cast<int>(stop - at) / 2;
          filter = add_run(pixels, at, stop, filter, bytes, ones);
          at = stop;
          if (room == 0) {
            widen_all<2>(bytes, sums);
            room = kPairsPerWidening;
          }
        }
      }
    }
    widen_all<2>(bytes, sums);
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) bytes[p][v] = popcount_bytes(ones[p][v]);
    }
    widen_all<1>(bytes, sums);
  }

  template <int kTimes>
  static void widen_all(__m256i (*bytes)[kVectors], int32_t* sums) {
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) widen<kTimes>(&bytes[p][v], sums + p * kBlock + 8 * v);
    }
  }
};

}  // namespace

const BconvKernel kBconvPairedAvx2 = TiledBconv<TilePairedAvx2>::kernel("b1_bconv_2x16p2__avx2");
const BconvKernel kBconvAvx2 = TiledBconv<TileAvx2>::kernel("b1_bconv_2x32__avx2");

}  // namespace b1
