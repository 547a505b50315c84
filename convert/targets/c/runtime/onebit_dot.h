/* The differing bits of two rows of words: the inner loop of everything binary.
 *
 * Harley and Seal: full adders (CSA) add bits of equal weight column by column, so that a block of
 * eight words costs seven full adders (five operations each) and one popcount instead of eight
 * popcounts. What does not fill a block goes first, into the empty counters.
 */
#ifndef ONEBIT_DOT_H_
#define ONEBIT_DOT_H_

#include <stdint.h>

#include "onebit_kernels.h"

#if defined(__ARM_FEATURE_MVE)
#include <arm_mve.h>
#endif

/* high and low: the sum of three bits, in every column. */
#define ONEBIT_CSA(high, low, a, b, c)  \
  do {                                  \
    const uint32_t either_ = (a) ^ (b); \
    const uint32_t both_ = (a) & (b);   \
    const uint32_t third_ = (c);        \
    high = both_ | (either_ & third_);  \
    low = either_ ^ third_;             \
  } while (0)

/* Bits set in each nibble. */
ONEBIT_INLINE uint32_t onebit_nibbles(uint32_t v) {
  v -= (v >> 1) & 0x55555555u;
  return (v & 0x33333333u) + ((v >> 2) & 0x33333333u);
}

/* The sums of neighbouring nibbles, in bytes. */
ONEBIT_INLINE uint32_t onebit_bytes(uint32_t nibbles) {
  return (nibbles & 0x0f0f0f0fu) + ((nibbles >> 4) & 0x0f0f0f0fu);
}

/* The sums of neighbouring bytes, in halves of the word. */
ONEBIT_INLINE uint32_t onebit_halves(uint32_t bytes) {
  return (bytes & 0x00ff00ffu) + ((bytes >> 8) & 0x00ff00ffu);
}

/* Two words at a time, behind which `from` is moved: half the loads where Thumb-2 can do that. */
#if defined(__thumb2__) && defined(__GNUC__)
typedef struct {
  uint32_t first, second;
} __attribute__((may_alias)) onebit_pair;
#define ONEBIT_LOAD_PAIR(first, second, from)       \
  __asm__("ldrd %0, %1, [%2], #8"                   \
          : "=&r"(first), "=&r"(second), "+r"(from) \
          : "m"(*(const onebit_pair*)(from)))
#else
#define ONEBIT_LOAD_PAIR(first, second, from) \
  do {                                        \
    first = *(from)++;                        \
    second = *(from)++;                       \
  } while (0)
#endif

/* carry and ones: the differing bits of the next two words added to ones. */
#define ONEBIT_ADD_PAIR(carry, ones, a, b)               \
  do {                                                   \
    uint32_t a0_, a1_, b0_, b1_;                         \
    ONEBIT_LOAD_PAIR(a0_, a1_, a);                       \
    ONEBIT_LOAD_PAIR(b0_, b1_, b);                       \
    ONEBIT_CSA(carry, ones, ones, a0_ ^ b0_, a1_ ^ b1_); \
  } while (0)

/* Words that the counters below hold: 31 blocks of at most 8 in a byte, and 7 more words. */
#define ONEBIT_MOST_WORDS 255

/* The differing bits of `count` words, at most ONEBIT_MOST_WORDS, at a and b. */
ONEBIT_INLINE uint32_t onebit_mismatches(const uint32_t* a, const uint32_t* b, int32_t count) {
#if defined(__POPCNT__) || defined(__aarch64__) || defined(__riscv_zbb)
  uint32_t total = 0;
  for (int32_t i = 0; i < count; ++i) total += (uint32_t)__builtin_popcount(a[i] ^ b[i]);
  return total;
#elif defined(__ARM_FEATURE_MVE)
  /* Four words at a time: the bits of each byte, and their sum. */
  uint32_t total = 0;
  for (; count > 0; count -= 4, a += 4, b += 4) {
    const mve_pred16_t used = vctp32q((uint32_t)count);
    const uint32x4_t differ = veorq_u32(vldrwq_z_u32(a, used), vldrwq_z_u32(b, used));
    uint8x16_t v = vreinterpretq_u8_u32(differ);
    v = vsubq_u8(v, vandq_u8(vshrq_n_u8(v, 1), vdupq_n_u8(0x55)));
    v = vaddq_u8(vandq_u8(v, vdupq_n_u8(0x33)), vandq_u8(vshrq_n_u8(v, 2), vdupq_n_u8(0x33)));
    v = vandq_u8(vaddq_u8(v, vshrq_n_u8(v, 4)), vdupq_n_u8(0x0f));
    total = vaddvaq_u8(total, v);
  }
  return total;
#else
  uint32_t ones = 0, twos = 0, fours = 0, eights = 0, t0, t1, f0, f1, e;
  if (count & 1) ones = *a++ ^ *b++;
  for (int32_t i = count & 6; i != 0; i -= 2) { /* at most 3 carries: 6 < 8 */
    ONEBIT_ADD_PAIR(t0, ones, a, b);
    fours |= twos & t0;
    twos ^= t0;
  }
  for (int32_t i = count >> 3; i != 0; --i) {
    ONEBIT_ADD_PAIR(t0, ones, a, b);
    ONEBIT_ADD_PAIR(t1, ones, a, b);
    ONEBIT_CSA(f0, twos, twos, t0, t1);
    ONEBIT_ADD_PAIR(t0, ones, a, b);
    ONEBIT_ADD_PAIR(t1, ones, a, b);
    ONEBIT_CSA(f1, twos, twos, t0, t1);
    ONEBIT_CSA(e, fours, fours, f0, f1);
    eights += onebit_bytes(onebit_nibbles(e));
  }
  /* At most 4 + 2 * 4 in a nibble, 24 + 4 * 8 in a byte, 112 + 8 * 2 * 248 in a half. */
  uint32_t rest = onebit_bytes(onebit_nibbles(ones) + 2 * onebit_nibbles(twos));
  rest += 4 * onebit_bytes(onebit_nibbles(fours));
  const uint32_t halves = onebit_halves(rest) + 8 * onebit_halves(eights);
  return (halves + (halves >> 16)) & 0xffff;
#endif
}

/* Rounds to the nearest, halves away from zero, and saturates. */
static inline int8_t onebit_round_s8(float v) {
  if (v >= 127.0f) return 127;
  if (v <= -128.0f) return -128;
  if (v != v) return 0;
  int32_t whole = (int32_t)v;
  const float part = v - (float)whole; /* exact */
  if (part >= 0.5f) ++whole;
  if (part <= -0.5f) --whole;
  return (int8_t)whole;
}

#endif /* ONEBIT_DOT_H_ */
