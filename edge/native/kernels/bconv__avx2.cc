// AVX2: popcount by table look-up (two PSHUFB per vector).
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

  // Sums of two bytes of counts, times kTimes.
  template <int kTimes>
  static __m256i add_bytes(__m256i bytes) {
    return _mm256_maddubs_epi16(bytes, _mm256_set1_epi8(kTimes));
  }

  static __m256i add_words(__m256i words) { return _mm256_madd_epi16(words, _mm256_set1_epi16(1)); }
};

struct TileAvx2 : CountingAvx2 {
  static constexpr int kMr = 16, kMrStep = 2, kNr = 32, kVectors = 4;
  static constexpr int kStepsPerWidening = 31;
  static constexpr bool kPaired = false;

  // Adds counts to sums and clears them.
  template <int kCount>
  static void widen_all(__m256i (*bytes)[kVectors], int32_t* sums) {
    for (int p = 0; p < kCount; ++p) {
      for (int v = 0; v < kVectors; ++v) {
        __m256i* sum = reinterpret_cast<__m256i*>(sums + p * kBlock) + v;
        *sum = _mm256_add_epi32(*sum, add_words(add_bytes<1>(bytes[p][v])));
        bytes[p][v] = _mm256_setzero_si256();
      }
    }
  }

  template <int kCount>
  static void accumulate(const uint32_t* const* pixels, int, const TapRuns& runs,
                         const uint32_t* filter, int32_t* sums) {
    __m256i bytes[kCount][kVectors];
    memset(sums, 0, kCount * kBlock * sizeof *sums);
    for (int p = 0; p < kCount; ++p) {
      for (int v = 0; v < kVectors; ++v) bytes[p][v] = _mm256_setzero_si256();
    }
    int room = kStepsPerWidening;
    for (int row = 0; row < runs.rows; ++row) {
      for (int tap = 0; tap < runs.taps; ++tap) {
        ptrdiff_t at = row * runs.row_step + tap * runs.tap_step;
        const ptrdiff_t end = at + runs.words;
        while (at < end) {
          const ptrdiff_t stop = end - at < room ? end : at + room;
          room -= static_cast<int>(stop - at);
          for (; at < stop; ++at, filter += kNr) {
            __m256i x[kCount];
            for (int p = 0; p < kCount; ++p) {
              x[p] = _mm256_set1_epi32(static_cast<int>(pixels[p][at]));
            }
#pragma GCC unroll 4
            for (int v = 0; v < kVectors; ++v) {
              const __m256i weight =
                  _mm256_loadu_si256(reinterpret_cast<const __m256i*>(filter + 8 * v));
#pragma GCC unroll 2
              for (int p = 0; p < kCount; ++p) {
                const __m256i counts = popcount_bytes(_mm256_xor_si256(weight, x[p]));
                bytes[p][v] = _mm256_add_epi8(bytes[p][v], counts);
              }
            }
          }
          if (room == 0) {
            widen_all<kCount>(bytes, sums);
            room = kStepsPerWidening;
          }
        }
      }
    }
    widen_all<kCount>(bytes, sums);
  }
};

// 12 instructions per 512 products instead of 16: two levels of carry-save adders, so that only one
// vector in four is counted. Each accumulator keeps, beside its counts, vectors of single bits:
// `ones` and `twos`. Without a ternary operation the carry of ones, a and b is
//   a ^ ((ones ^ a) & (a ^ b))
// The filter and the padded input hold the XOR of each pair of words (see the AVX-512 kernel), so
// that b itself is not needed. Registers suffice for one pixel at a time; a tile has more, so that
// listing the words and finishing cost less a pixel.
struct TilePairedAvx2 : CountingAvx2 {
  static constexpr int kMr = 16, kMrStep = 16, kNr = 16, kVectors = 2;
  static constexpr int kQuadsPerWidening = 31;
  static constexpr int kMostPairs = 256;
  static constexpr bool kPaired = true;

  struct Accumulators {
    __m256i ones[kVectors], twos[kVectors];  // bits
    __m256i fours[kVectors];                 // bytes of counts
  };

  // Adds a and b to a vector of bits; `changed` = a ^ b. Returns the carry.
  static __m256i add(__m256i* bits, __m256i a, __m256i changed) {
    const __m256i kept = _mm256_and_si256(_mm256_xor_si256(*bits, a), changed);
    *bits = _mm256_xor_si256(*bits, changed);
    return _mm256_xor_si256(a, kept);
  }

  static __m256i differing(const uint32_t* x, const uint32_t* filter, int v) {
    const __m256i weight = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(filter) + v);
    return _mm256_xor_si256(weight, _mm256_set1_epi32(static_cast<int>(*x)));
  }

  // Adding a pair to nothing costs half, so an odd one goes first.
  template <bool kOdd>
  [[gnu::always_inline]] static void begin(const uint32_t* x, const uint32_t* filter,
                                           Accumulators* sum) {
    for (int v = 0; v < kVectors; ++v) {
      sum->ones[v] = sum->twos[v] = sum->fours[v] = _mm256_setzero_si256();
      if (!kOdd) continue;
      sum->ones[v] = differing(x + 1, filter + kNr, v);
      sum->twos[v] = _mm256_andnot_si256(sum->ones[v], differing(x, filter, v));
    }
  }

  // Adds the pairs [at, end), an even number.
  [[gnu::always_inline]] static const uint32_t* add_quads(const uint32_t* pixel,
                                                          const ptrdiff_t* at, const ptrdiff_t* end,
                                                          const uint32_t* filter,
                                                          Accumulators* sum) {
#pragma GCC unroll 2
    for (; at < end; at += 2, filter += 4 * kNr) {
      const uint32_t *x = pixel + at[0], *next = pixel + at[1];
#pragma GCC unroll 2
      for (int v = 0; v < kVectors; ++v) {
        const __m256i two =
            add(&sum->ones[v], differing(x, filter, v), differing(x + 1, filter + kNr, v));
        const __m256i other = add(&sum->ones[v], differing(next, filter + 2 * kNr, v),
                                  differing(next + 1, filter + 3 * kNr, v));
        const __m256i four = add(&sum->twos[v], two, _mm256_xor_si256(two, other));
        sum->fours[v] = _mm256_add_epi8(sum->fours[v], popcount_bytes(four));
      }
    }
    return filter;
  }

  // Sums of two bytes of all that the accumulators hold.
  static __m256i add_all(const Accumulators& sum, int v) {
    const __m256i twos = popcount_bytes(sum.twos[v]), ones = popcount_bytes(sum.ones[v]);
    const __m256i few = _mm256_add_epi8(_mm256_add_epi8(twos, twos), ones);
    return _mm256_add_epi16(add_bytes<4>(sum.fours[v]), add_bytes<1>(few));
  }

  // Of all pixels; `kOdd` is the parity of `pairs`. The first call of a tile sets `sums`, further
  // ones add to them.
  template <bool kOdd>
  static void add_pairs(const uint32_t* const* pixels, int count, const ptrdiff_t* at, int pairs,
                        const uint32_t* filter, bool first, int32_t* sums) {
    const ptrdiff_t* end = at + pairs;
    for (int p = 0; p < count; ++p, sums += kBlock) {
      __m256i *out = reinterpret_cast<__m256i*>(sums), total[kVectors];
      for (int v = 0; v < kVectors; ++v) total[v] = first ? _mm256_setzero_si256() : out[v];
      Accumulators sum;
      begin<kOdd>(pixels[p] + *at, filter, &sum);
      const ptrdiff_t* from = at + kOdd;
      const uint32_t* weights = filter + kOdd * 2 * kNr;
      for (; end - from > 2 * kQuadsPerWidening; from += 2 * kQuadsPerWidening) {
        weights = add_quads(pixels[p], from, from + 2 * kQuadsPerWidening, weights, &sum);
        for (int v = 0; v < kVectors; ++v) {
          total[v] = _mm256_add_epi32(total[v], add_words(add_bytes<4>(sum.fours[v])));
          sum.fours[v] = _mm256_setzero_si256();
        }
      }
      add_quads(pixels[p], from, end, weights, &sum);
      for (int v = 0; v < kVectors; ++v) {
        out[v] = _mm256_add_epi32(total[v], add_words(add_all(sum, v)));
      }
    }
  }

  template <int>
  static void accumulate(const uint32_t* const* pixels, int count, const TapRuns& runs,
                         const uint32_t* filter, int32_t* sums) {
    ptrdiff_t at[kMostPairs];
    at[0] = 0;
    int pairs = 0;
    bool first = true;
    for (int row = 0; row < runs.rows; ++row) {
      for (int tap = 0; tap < runs.taps; ++tap) {
        const ptrdiff_t start = row * runs.row_step + tap * runs.tap_step;
        for (ptrdiff_t word = start; word < start + runs.words; word += 2) {
          if (pairs == kMostPairs) {
            add_pairs<false>(pixels, count, at, pairs, filter, first, sums);
            filter += pairs * 2 * kNr;
            pairs = 0;
            first = false;
          }
          at[pairs++] = word;
        }
      }
    }
    const auto add_rest = pairs % 2 ? add_pairs<true> : add_pairs<false>;
    add_rest(pixels, count, at, pairs, filter, first, sums);
  }
};

}  // namespace

const BconvKernel kBconvPairedAvx2 = TiledBconv<TilePairedAvx2>::kernel<kBconvPairedAvx2Info>();
const BconvKernel kBconvAvx2 = TiledBconv<TileAvx2>::kernel<kBconvAvx2Info>();

}  // namespace b1
