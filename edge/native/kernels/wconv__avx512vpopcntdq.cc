// AVX-512: sums by table. Four inputs have 16 signed sums, which fill one register; VPERMPS looks
// up the sum that four bits of a filter ask for, in 16 channels at once. Three instructions (shift,
// permute, add) thus do 64 products; the table is shared by all output channels.
#include <immintrin.h>

#include "variants.h"
#include "wconv_tiled.h"

namespace b1 {
namespace {

struct Tile {
  static constexpr int kLanes = 64, kVectors = 4, kTables = 8;  // tables a word
  struct Inputs {
    alignas(64) float tables[32 * kTables][16];
  };

  // Entry i of a table is the sum of x[j], negated where bit j of i is set.
  static void load(const float* x, int words, Inputs* inputs) {
    const __m512 one = _mm512_set1_ps(1), minus = _mm512_set1_ps(-1);
    const __m512 sign0 = _mm512_mask_blend_ps(0xAAAA, one, minus);
    const __m512 sign1 = _mm512_mask_blend_ps(0xCCCC, one, minus);
    const __m512 sign2 = _mm512_mask_blend_ps(0xF0F0, one, minus);
    const __m512 sign3 = _mm512_mask_blend_ps(0xFF00, one, minus);
    for (int i = 0; i < words * kTables; ++i, x += 4) {
      const __m512 low = _mm512_add_ps(_mm512_mul_ps(_mm512_set1_ps(x[0]), sign0),
                                       _mm512_mul_ps(_mm512_set1_ps(x[1]), sign1));
      const __m512 high = _mm512_add_ps(_mm512_mul_ps(_mm512_set1_ps(x[2]), sign2),
                                        _mm512_mul_ps(_mm512_set1_ps(x[3]), sign3));
      _mm512_store_ps(inputs->tables[i], _mm512_add_ps(low, high));
    }
  }

  static void add(const Inputs& inputs, int words, const uint32_t* filter, float* sums) {
    __m512 sum[kVectors];
    for (int v = 0; v < kVectors; ++v) sum[v] = _mm512_loadu_ps(sums + 16 * v);
    const float (*table)[16] = inputs.tables;
    for (int word = 0; word < words; ++word, filter += kLanes) {
      __m512i bits[kVectors];
      for (int v = 0; v < kVectors; ++v) bits[v] = _mm512_loadu_si512(filter + 16 * v);
#pragma GCC unroll 8
      for (int i = 0; i < kTables; ++i) {
        const __m512 entries = _mm512_load_ps(*table++);
#pragma GCC unroll 4
        for (int v = 0; v < kVectors; ++v) {
          // The permutation reads the low four bits of each lane only.
          const __m512i index = _mm512_srli_epi32(bits[v], 4 * i);
          sum[v] = _mm512_add_ps(sum[v], _mm512_permutexvar_ps(index, entries));
        }
      }
    }
    for (int v = 0; v < kVectors; ++v) _mm512_storeu_ps(sums + 16 * v, sum[v]);
  }
};

}  // namespace

const WconvKernel kWconvAvx512 = TiledWconv<Tile>::kernel<kWconvAvx512Info>();

}  // namespace b1
