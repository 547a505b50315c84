/* What layers with bits as output share: limits, and max-pooling of a few rows at a time. */
#include "onebit_kernels.h"

#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("Os")
#endif

#define ABOVE word = word << 1 | (uint32_t)(*--limits - *--sums) >> 31

ONEBIT_FAST uint32_t* onebit_bits_above(const int32_t* sums, const onebit_limit* limits,
                                        int32_t count, uint32_t* words) {
  uint32_t* const behind = words + ONEBIT_WORDS(count);
  /* From the last to the first, so that each is shifted into its place; sums are small. */
  sums += count;
  limits += count;
  int32_t left = ((count - 1) & 31) + 1;
  for (uint32_t* to = behind; to != words; left = 32) {
    uint32_t word = 0;
    for (; left & 3; --left) ABOVE;
    for (; left != 0; left -= 4) {
      ABOVE;
      ABOVE;
      ABOVE;
      ABOVE;
    }
    *--to = word;
  }
  return behind;
}

void onebit_pool_bands(const onebit_bands* pool, const onebit_window* w, onebit_rows rows,
                       const void* layer, const void* x, uint32_t* y, uint32_t* scratch) {
  const int32_t words = ONEBIT_WORDS(w->out_c), row = w->out_w * words;
  const int32_t count = pool->kernel_h * row, reach = pool->kernel_w * words;
  uint32_t* const band = scratch;
  for (int32_t last = pool->kernel_h; last <= w->out_h; last += pool->kernel_h) {
    rows(layer, x, band, scratch + count, last - pool->kernel_h, last);
    /* Every row joins the one above it. */
    for (int32_t i = count - 1; i >= row; --i) band[i - row] &= band[i];
    for (int32_t ox = 0; ox < pool->out_w; ++ox) {
      const int32_t first = ox * pool->stride_w * words;
      for (int32_t i = first; i < first + words; ++i) {
        uint32_t all = band[i];
        for (int32_t j = i + words; j < i + reach && j < row; j += words) all &= band[j];
        *y++ = all;
      }
    }
  }
}
