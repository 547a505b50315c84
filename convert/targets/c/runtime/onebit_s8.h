/* What kernels of int8 numbers share. */
#ifndef ONEBIT_S8_H_
#define ONEBIT_S8_H_

#include "onebit_kernels.h"

static inline int32_t onebit_clamp_s32(int32_t v, int32_t low, int32_t high) {
  v = v < low ? low : v;
  return v > high ? high : v;
}

/* v * multiplier / 2^31 * 2^shift, rounded after each of the two divisions, halves up: as ruy does,
 * TensorFlow Lite's matrix library. */
static inline int32_t onebit_rescaled(int32_t v, onebit_factor f) {
  const int64_t wide = f.shift > 0 ? (int64_t)v * ((int64_t)1 << f.shift) : v;
  const int32_t high = (int32_t)((wide * f.multiplier + ((int64_t)1 << 30)) >> 31);
  if (f.shift >= 0) return high;
  return (int32_t)(((int64_t)high + ((int64_t)1 << (-f.shift - 1))) >> -f.shift);
}

/* The same with halves away from zero: gemmlowp's, which TensorFlow Lite uses everywhere else. */
static inline int32_t onebit_rescaled_away(int32_t v, onebit_factor f) {
  const int64_t wide = f.shift > 0 ? (int64_t)v * ((int64_t)1 << f.shift) : v;
  const int64_t product = wide * f.multiplier;
  const int64_t nudge = product >= 0 ? (int64_t)1 << 30 : 1 - ((int64_t)1 << 30);
  const int32_t high = (int32_t)((product + nudge) / ((int64_t)1 << 31));
  if (f.shift >= 0) return high;
  const int64_t half = (int64_t)1 << (-f.shift - 1);
  return (int32_t)(((int64_t)high + half - (high < 0)) >> -f.shift);
}

/* The same rounded once, halves up, for shifts up to 0: the operands of LCE's sums. */
static inline int32_t onebit_rescaled_once(int32_t v, onebit_factor f) {
  const int64_t half = (int64_t)1 << (30 - f.shift);
  return (int32_t)(((int64_t)v * f.multiplier + half) >> (31 - f.shift));
}

#endif /* ONEBIT_S8_H_ */
