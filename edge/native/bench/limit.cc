// Measures the limit that instructions set on this core: binary multiply-adds per second of loops
// that stay in registers. Prints a line for each instruction set that the CPU has:
//
//   avx512vpopcntdq   XOR, VPOPCNTD and ADD
//   amx               tile multiplications of bytes
//   avx2              four words through the carry-save adders and look-up of bconv__avx2.cc
#include <immintrin.h>
#include <stdio.h>
#include <time.h>

#include "../kernels/isa.h"

namespace {

constexpr int kAccumulators = 24, kWeights = 4;
constexpr long kSteps = 1000000;

double seconds() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

__attribute__((target("avx512f,avx512vpopcntdq"))) double measure() {
  __m512i sum[kAccumulators], weight[kWeights], x = _mm512_set1_epi32(12345);
  for (int i = 0; i < kAccumulators; ++i) sum[i] = _mm512_setzero_si512();
  for (int i = 0; i < kWeights; ++i) weight[i] = _mm512_set1_epi32(i * 991);
  const double start = seconds();
  for (long step = 0; step < kSteps; ++step) {
#pragma GCC unroll 24
    for (int i = 0; i < kAccumulators; ++i) {
      __m512i differing = _mm512_xor_si512(weight[i % kWeights], x);
      __asm__ volatile("" : "+v"(differing));  // else equal products would be computed once
      sum[i] = _mm512_add_epi32(sum[i], _mm512_popcnt_epi32(differing));
    }
  }
  const double time = seconds() - start;
  for (int i = 1; i < kAccumulators; ++i) sum[0] = _mm512_add_epi32(sum[0], sum[i]);
  __asm__ volatile("" : : "v"(sum[0]));
  return 512.0 * kAccumulators * kSteps / time;
}

__attribute__((target("amx-tile,amx-int8"))) double measure_tiles() {
  struct alignas(64) {
    unsigned char palette = 1, start_row = 0, reserved[14] = {};
    unsigned short row_bytes[16] = {};
    unsigned char rows[16] = {};
  } config;
  for (int i = 0; i < 8; ++i) config.row_bytes[i] = 64, config.rows[i] = 16;
  __asm__ volatile("" : : : "memory");
  _tile_loadconfig(&config);
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  _tile_zero(4);
  _tile_zero(5);
  constexpr long kTileSteps = 250000;
  const double start = seconds();
  for (long step = 0; step < kTileSteps; ++step) {
    _tile_dpbusd(0, 4, 5);
    _tile_dpbusd(1, 4, 5);
    _tile_dpbusd(2, 4, 5);
    _tile_dpbusd(3, 4, 5);
  }
  const double time = seconds() - start;
  _tile_release();
  return 16.0 * 16 * 64 * 4 * kTileSteps / time;
}

// In assembly, as compilers would compute equal products once.
__attribute__((target("avx2"))) __m256i differing(__m256i weight, __m256i x) {
  __m256i result;
  __asm__ volatile("vpxor %1, %2, %0" : "=x"(result) : "x"(weight), "x"(x));
  return result;
}

__attribute__((target("avx2"))) __m256i add(__m256i* bits, __m256i a, __m256i changed) {
  const __m256i kept = _mm256_and_si256(_mm256_xor_si256(*bits, a), changed);
  *bits = _mm256_xor_si256(*bits, changed);
  return _mm256_xor_si256(a, kept);
}

__attribute__((target("avx2"))) double measure_avx2() {
  constexpr int kChains = 2;
  __m256i ones[kChains], twos[kChains], fours[kChains];
  const __m256i x = _mm256_set1_epi32(12345);
  const __m256i nibble = _mm256_set1_epi8(15), counts = _mm256_set1_epi8(3);
  for (int i = 0; i < kChains; ++i) ones[i] = twos[i] = fours[i] = _mm256_setzero_si256();
  const double start = seconds();
  for (long step = 0; step < kSteps; ++step) {
#pragma GCC unroll 2
    for (int i = 0; i < kChains; ++i) {
      __m256i carry[2];
#pragma GCC unroll 2
      for (int pair = 0; pair < 2; ++pair) {
        const __m256i a = differing(counts, x);
        carry[pair] = add(&ones[i], a, differing(nibble, x));
      }
      const __m256i four = add(&twos[i], carry[0], _mm256_xor_si256(carry[0], carry[1]));
      const __m256i low = _mm256_and_si256(four, nibble);
      const __m256i high = _mm256_and_si256(_mm256_srli_epi32(four, 4), nibble);
      fours[i] = _mm256_add_epi8(fours[i], _mm256_add_epi8(_mm256_shuffle_epi8(counts, low),
                                                           _mm256_shuffle_epi8(counts, high)));
    }
  }
  const double time = seconds() - start;
  for (int i = 0; i < kChains; ++i) {
    __asm__ volatile("" : : "x"(ones[i]), "x"(twos[i]), "x"(fours[i]));
  }
  return 1024.0 * kChains * kSteps / time;
}

double best_of(double (*measure)()) {
  double best = 0;
  for (int i = 0; i < 9; ++i) {
    const double rate = measure();
    best = rate > best ? rate : best;
  }
  return best;
}

}  // namespace

int main() {
  if (b1::cpu_has(b1::Isa::kAvx512Vpopcntdq)) printf("avx512vpopcntdq %.6g\n", best_of(measure));
  if (b1::cpu_has(b1::Isa::kAmx)) printf("amx %.6g\n", best_of(measure_tiles));
  if (b1::cpu_has(b1::Isa::kAvx2)) printf("avx2 %.6g\n", best_of(measure_avx2));
  return 0;
}
