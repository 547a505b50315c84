// What AVX-512 tiles do with their sums; included by each file that is compiled for AVX-512.
#pragma once

#include <immintrin.h>

#include "bconv_tiled.h"

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

}  // namespace
}  // namespace b1
