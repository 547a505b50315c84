// AVX2: 2 pixels x 32 channels, popcount by table look-up (two PSHUFB per vector).
//
// Counts gather in bytes, at most 8 a step, so they are widened before 32 steps would overflow
// them.
#include <immintrin.h>

#include "bconv_tiled.h"
#include "variants.h"

namespace b1 {
namespace {

struct TileAvx2 {
  static constexpr Isa kIsa = Isa::kAvx2;
  static constexpr int kPixels = 2, kChannels = 32, kVectors = 4;
  static constexpr int kStepsPerWidening = 31;
  static constexpr bool kPaired = false;

  static bool finish(const Finish&) { return false; }

  static uint32_t signs(const float* values) {
    const __m256 zero = _mm256_setzero_ps();
    uint32_t word = 0;
    for (int i = 0; i < 4; ++i) {
      const __m256 negative = _mm256_cmp_ps(_mm256_load_ps(values + 8 * i), zero, _CMP_LT_OQ);
      word |= static_cast<uint32_t>(_mm256_movemask_ps(negative)) << (8 * i);
    }
    return word;
  }

  static uint32_t greater(const int32_t* a, const int32_t* b) {
    uint32_t word = 0;
    for (int i = 0; i < 4; ++i) {
      const __m256i x = _mm256_load_si256(reinterpret_cast<const __m256i*>(a + 8 * i));
      const __m256i y = _mm256_load_si256(reinterpret_cast<const __m256i*>(b + 8 * i));
      const int mask = _mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpgt_epi32(x, y)));
      word |= static_cast<uint32_t>(mask) << (8 * i);
    }
    return word;
  }

  static __m256i popcount_bytes(__m256i v) {
    const __m256i counts = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4,  //
                                            0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
    const __m256i nibble = _mm256_set1_epi8(15);
    const __m256i low = _mm256_and_si256(v, nibble);
    const __m256i high = _mm256_and_si256(_mm256_srli_epi32(v, 4), nibble);
    return _mm256_add_epi8(_mm256_shuffle_epi8(counts, low), _mm256_shuffle_epi8(counts, high));
  }

  static void widen(__m256i (*bytes)[kVectors], int32_t* sums) {
    const __m256i ones8 = _mm256_set1_epi8(1), ones16 = _mm256_set1_epi16(1);
    for (int p = 0; p < kPixels; ++p) {
      for (int v = 0; v < kVectors; ++v) {
        __m256i* sum = reinterpret_cast<__m256i*>(sums + p * kBlock + 8 * v);
        const __m256i words = _mm256_maddubs_epi16(bytes[p][v], ones8);
        *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(words, ones16));
        bytes[p][v] = _mm256_setzero_si256();
      }
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
            widen(bytes, sums);
            room = kStepsPerWidening;
          }
        }
      }
    }
    widen(bytes, sums);
  }
};

}  // namespace

const BconvKernel kBconvAvx2 = TiledBconv<TileAvx2>::kernel("b1_bconv_2x32__avx2");

}  // namespace b1
