// Vectors of 16 for the epilogue.
#pragma once

#include <immintrin.h>

#include "epilogue.h"

namespace b1 {
namespace {

struct VectorAvx512 {
  static constexpr int kLanes = 16;
  using Int = __m512i;
  using Float = __m512;
  using Mask = __mmask16;

  static Int load(const int32_t* from) { return _mm512_loadu_si512(from); }
  static Float load(const float* from) { return _mm512_loadu_ps(from); }
  static void store(float* to, Float v) { _mm512_storeu_ps(to, v); }
  static Int set(int32_t v) { return _mm512_set1_epi32(v); }
  static Float set(float v) { return _mm512_set1_ps(v); }
  static Int add(Int a, Int b) { return _mm512_add_epi32(a, b); }
  static Int twice(Int a) { return _mm512_slli_epi32(a, 1); }
  static Int min(Int a, Int b) { return _mm512_min_epi32(a, b); }
  static Int max(Int a, Int b) { return _mm512_max_epi32(a, b); }
  static Float to_float(Int a) { return _mm512_cvtepi32_ps(a); }
  static Float multiply(Float a, Float b) { return _mm512_mul_ps(a, b); }
  static Float add(Float a, Float b) { return _mm512_add_ps(a, b); }
  static Float clamp(Float v, Float low, Float high) {
    // Of NaN and of equal operands these return the second.
    return _mm512_min_ps(high, _mm512_max_ps(low, v));
  }
  static Mask below_zero(Float a) { return _mm512_cmp_ps_mask(a, _mm512_setzero_ps(), _CMP_LT_OQ); }
  static Mask above(Int a, Int b) { return _mm512_cmpgt_epi32_mask(a, b); }
  static uint32_t word(const Mask* masks) {
    return masks[0] | static_cast<uint32_t>(masks[1]) << 16;
  }
};

using EpilogueAvx512 = VectorEpilogue<VectorAvx512>;

}  // namespace
}  // namespace b1
