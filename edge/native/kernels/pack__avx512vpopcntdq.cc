#include <immintrin.h>

#include "pack_rows.h"
#include "variants.h"

namespace b1 {
namespace {

struct Tile {
  static uint32_t below_zero(const float* values) {
    const __m512 zero = _mm512_setzero_ps();
    const uint32_t low = _mm512_cmp_ps_mask(_mm512_loadu_ps(values), zero, _CMP_LT_OQ);
    const uint32_t high = _mm512_cmp_ps_mask(_mm512_loadu_ps(values + 16), zero, _CMP_LT_OQ);
    return low | high << 16;
  }
  static uint32_t below_zero(const float* values, const float* scale, const float* offset) {
    const __m512 zero = _mm512_setzero_ps();
    __mmask16 masks[2];
    for (int i = 0; i < 2; ++i) {
      const __m512 product =
          _mm512_mul_ps(_mm512_loadu_ps(values + 16 * i), _mm512_loadu_ps(scale + 16 * i));
      const __m512 sum = _mm512_add_ps(product, _mm512_loadu_ps(offset + 16 * i));
      masks[i] = _mm512_cmp_ps_mask(sum, zero, _CMP_LT_OQ);
    }
    return masks[0] | static_cast<uint32_t>(masks[1]) << 16;
  }
  static uint32_t below(const int8_t* values, int8_t zero_point) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values));
    return _mm256_cmplt_epi8_mask(v, _mm256_set1_epi8(zero_point));
  }
};

}  // namespace

const PackKernel kPackAvx512 = PackRows<Tile>::kernel<kPackAvx512Info>();

}  // namespace b1
