/* Sums of products of a filter's int8 weights and one or two columns of 16-bit numbers.
 *
 * The DSP extension multiplies two pairs of halves in an instruction; weights are spread to halves
 * 0 and 2, 1 and 3 of each four, so that columns are put into that order once. MVE multiplies
 * eight.
 */
#ifndef ONEBIT_DOT_S8_H_
#define ONEBIT_DOT_S8_H_

#include <stdint.h>
#include <string.h>

#include "onebit_kernels.h"

#if defined(__ARM_FEATURE_MVE) && defined(__GNUC__)

#include <arm_mve.h>

ONEBIT_INLINE void onebit_order_s8(int16_t* column, int32_t count) { (void)column, (void)count; }

ONEBIT_INLINE void onebit_dots_s8(const int16_t* a, const int16_t* b, const int8_t* w,
                                  int32_t count, int32_t* sums) {
  for (; count > 0; count -= 8, a += 8, b += 8, w += 8) {
    const mve_pred16_t used = vctp16q((uint32_t)count);
    const int16x8_t weights = vldrbq_z_s16(w, used);
    sums[0] = vmladavaq_s16(sums[0], vldrhq_z_s16(a, used), weights);
    sums[1] = vmladavaq_s16(sums[1], vldrhq_z_s16(b, used), weights);
  }
}

ONEBIT_INLINE void onebit_dot_s8(const int16_t* a, const int8_t* w, int32_t count, int32_t* sum) {
  for (; count > 0; count -= 8, a += 8, w += 8) {
    const mve_pred16_t used = vctp16q((uint32_t)count);
    *sum = vmladavaq_s16(*sum, vldrhq_z_s16(a, used), vldrbq_z_s16(w, used));
  }
}

#elif defined(__ARM_FEATURE_DSP) && defined(__GNUC__) && !defined(__ARM_BIG_ENDIAN)

#include <arm_acle.h>

ONEBIT_INLINE uint32_t onebit_word_at(const void* from) {
  uint32_t word;
  memcpy(&word, from, sizeof word);
  return word;
}

/* Each whole four becomes 0, 2, 1, 3. */
ONEBIT_INLINE void onebit_order_s8(int16_t* column, int32_t count) {
  for (; count >= 4; count -= 4, column += 4) {
    const int16_t first = column[1];
    column[1] = column[2];
    column[2] = first;
  }
}

#define ONEBIT_SPREAD(even, odd, w)                                  \
  do {                                                               \
    const uint32_t four_ = onebit_word_at(w);                        \
    even = (int16x2_t)__sxtb16((int8x4_t)four_);                     \
    odd = (int16x2_t)__sxtb16((int8x4_t)(four_ >> 8 | four_ << 24)); \
  } while (0)

ONEBIT_INLINE void onebit_dots_s8(const int16_t* a, const int16_t* b, const int8_t* w,
                                  int32_t count, int32_t* sums) {
  int32_t first = sums[0], second = sums[1];
  for (; count >= 4; count -= 4, a += 4, b += 4, w += 4) {
    int16x2_t even, odd;
    ONEBIT_SPREAD(even, odd, w);
    first = __smlad(even, (int16x2_t)onebit_word_at(a), first);
    second = __smlad(even, (int16x2_t)onebit_word_at(b), second);
    first = __smlad(odd, (int16x2_t)onebit_word_at(a + 2), first);
    second = __smlad(odd, (int16x2_t)onebit_word_at(b + 2), second);
  }
  for (; count > 0; --count, ++w) {
    first += *a++ * *w;
    second += *b++ * *w;
  }
  sums[0] = first;
  sums[1] = second;
}

ONEBIT_INLINE void onebit_dot_s8(const int16_t* a, const int8_t* w, int32_t count, int32_t* sum) {
  int32_t first = *sum;
  for (; count >= 4; count -= 4, a += 4, w += 4) {
    int16x2_t even, odd;
    ONEBIT_SPREAD(even, odd, w);
    first = __smlad(even, (int16x2_t)onebit_word_at(a), first);
    first = __smlad(odd, (int16x2_t)onebit_word_at(a + 2), first);
  }
  for (; count > 0; --count) first += *a++ * *w++;
  *sum = first;
}

#else

ONEBIT_INLINE void onebit_order_s8(int16_t* column, int32_t count) { (void)column, (void)count; }

ONEBIT_INLINE void onebit_dots_s8(const int16_t* a, const int16_t* b, const int8_t* w,
                                  int32_t count, int32_t* sums) {
  int32_t first = sums[0], second = sums[1];
  for (; count > 0; --count, ++w) {
    first += *a++ * *w;
    second += *b++ * *w;
  }
  sums[0] = first;
  sums[1] = second;
}

ONEBIT_INLINE void onebit_dot_s8(const int16_t* a, const int8_t* w, int32_t count, int32_t* sum) {
  int32_t first = *sum;
  for (; count > 0; --count) first += *a++ * *w++;
  *sum = first;
}

#endif

#endif /* ONEBIT_DOT_S8_H_ */
