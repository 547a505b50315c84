// What XOR + VPOPCNTD + ADD allow on this core: binary multiply-adds per second of a loop that
// stays in registers. Prints one number, or nothing where the instructions are missing.
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

}  // namespace

int main() {
  if (!b1::cpu_has(b1::Isa::kAvx512Vpopcntdq)) return 0;
  double best = 0;
  for (int i = 0; i < 9; ++i) {
    const double rate = measure();
    best = rate > best ? rate : best;
  }
  printf("%.6g\n", best);
  return 0;
}
