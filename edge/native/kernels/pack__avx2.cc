#include <immintrin.h>

#include "pack_rows.h"
#include "variants.h"

namespace b1 {
namespace {

struct Tile {
  static uint32_t below_zero(const float* values) {
    const __m256 zero = _mm256_setzero_ps();
    uint32_t word = 0;
    for (int i = 0; i < 4; ++i) {
      const __m256 negative = _mm256_cmp_ps(_mm256_loadu_ps(values + 8 * i), zero, _CMP_LT_OQ);
      word |= static_cast<uint32_t>(_mm256_movemask_ps(negative)) << (8 * i);
    }
    return word;
  }
  static uint32_t below_zero(const float* values, const float* scale, const float* offset) {
    const __m256 zero = _mm256_setzero_ps();
    uint32_t word = 0;
    for (int i = 0; i < 32; i += 8) {
      const __m256 product = _mm256_mul_ps(_mm256_loadu_ps(values + i), _mm256_loadu_ps(scale + i));
      const __m256 sum = _mm256_add_ps(product, _mm256_loadu_ps(offset + i));
      const __m256 negative = _mm256_cmp_ps(sum, zero, _CMP_LT_OQ);
      word |= static_cast<uint32_t>(_mm256_movemask_ps(negative)) << i;
    }
    return word;
  }
  static uint32_t below(const int8_t* values, int8_t zero_point) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values));
    return static_cast<uint32_t>(
        _mm256_movemask_epi8(_mm256_cmpgt_epi8(_mm256_set1_epi8(zero_point), v)));
  }
};

}  // namespace

const PackKernel kPackAvx2 = PackRows<Tile>::kernel<kPackAvx2Info>();

}  // namespace b1
