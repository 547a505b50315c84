/* The differing bits of two rows of words: the inner loop of everything binary.
 *
 * Harley and Seal: full adders (CSA) add bits of equal weight column by column, so that a block of
 * eight words costs seven full adders (five operations each) and one popcount instead of eight
 * popcounts. What does not fill a block goes first, into the empty counters.
 */
#ifndef ONEBIT_DOT_H_
#define ONEBIT_DOT_H_

#include <stdint.h>

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
static inline uint32_t onebit_nibbles(uint32_t v) {
  v -= (v >> 1) & 0x55555555u;
  return (v & 0x33333333u) + ((v >> 2) & 0x33333333u);
}

static inline uint32_t onebit_popcount(uint32_t v) {
  v = onebit_nibbles(v);
  v = (v + (v >> 4)) & 0x0f0f0f0fu;
  return (v * 0x01010101u) >> 24;
}

#if defined(__POPCNT__) || defined(__aarch64__) || defined(__riscv_zbb)

static inline uint32_t onebit_mismatches(const uint32_t* a, const uint32_t* b, int32_t count) {
  uint32_t total = 0;
  for (int32_t i = 0; i < count; ++i) total += (uint32_t)__builtin_popcount(a[i] ^ b[i]);
  return total;
}

#else

static inline uint32_t onebit_mismatches(const uint32_t* a, const uint32_t* b, int32_t count) {
  uint32_t ones = 0, twos = 0, fours = 0, eights = 0, carry, t0, t1, f0, f1, e;
  if (count & 1) ones = *a++ ^ *b++;
  for (int32_t i = count & 6; i != 0; i -= 2, a += 2, b += 2) { /* at most 3 carries: 6 < 8 */
    ONEBIT_CSA(carry, ones, ones, a[0] ^ b[0], a[1] ^ b[1]);
    fours |= twos & carry;
    twos ^= carry;
  }
  for (int32_t i = count >> 3; i != 0; --i, a += 8, b += 8) {
    ONEBIT_CSA(t0, ones, ones, a[0] ^ b[0], a[1] ^ b[1]);
    ONEBIT_CSA(t1, ones, ones, a[2] ^ b[2], a[3] ^ b[3]);
    ONEBIT_CSA(f0, twos, twos, t0, t1);
    ONEBIT_CSA(t0, ones, ones, a[4] ^ b[4], a[5] ^ b[5]);
    ONEBIT_CSA(t1, ones, ones, a[6] ^ b[6], a[7] ^ b[7]);
    ONEBIT_CSA(f1, twos, twos, t0, t1);
    ONEBIT_CSA(e, fours, fours, f0, f1);
    eights += onebit_popcount(e);
  }
  /* Counts of the three counters side by side: at most 4 + 2 * 4 in a nibble, 24 + 4 * 8 a byte. */
  const uint32_t low = onebit_nibbles(ones) + 2 * onebit_nibbles(twos);
  const uint32_t high = onebit_nibbles(fours);
  uint32_t bytes = (low & 0x0f0f0f0fu) + ((low >> 4) & 0x0f0f0f0fu);
  bytes += 4 * ((high + (high >> 4)) & 0x0f0f0f0fu);
  return 8 * eights + ((bytes * 0x01010101u) >> 24);
}

#endif

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
