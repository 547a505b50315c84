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
  static uint32_t below(const int8_t* values, int8_t zero_point) {
    const __m256i v = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(values));
    return _mm256_cmplt_epi8_mask(v, _mm256_set1_epi8(zero_point));
  }
};

}  // namespace

const PackKernel kPackAvx512 =
    PackRows<Tile>::kernel("b1_pack_32__avx512vpopcntdq", Isa::kAvx512Vpopcntdq);

}  // namespace b1
