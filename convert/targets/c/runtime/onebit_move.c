/* Numbers and bits that move without changing. */
#include "onebit_kernels.h"

void onebit_copy_rows(const void* x, void* y, int32_t rows, int32_t bytes, int32_t from,
                      int32_t to) {
  const uint8_t* source = (const uint8_t*)x;
  uint8_t* target = (uint8_t*)y;
  for (int32_t r = 0; r < rows; ++r, source += from, target += to) {
    memcpy(target, source, (size_t)bytes);
  }
}

static uint8_t* filled(uint8_t* y, int32_t count, int32_t bytes, uint32_t value) {
  if (bytes == 1) {
    memset(y, (int)value, (size_t)count);
    return y + count;
  }
  for (int32_t i = 0; i < count; ++i, y += 4) memcpy(y, &value, 4);
  return y;
}

void onebit_pad(const onebit_pads* p, const void* x, void* y, int32_t bytes, uint32_t value) {
  const uint8_t* from = (const uint8_t*)x;
  uint8_t* to = (uint8_t*)y;
  int32_t wide[4], row = p->size[3] * bytes;
  for (int32_t d = 3, below = 1; d >= 0; --d) {
    wide[d] = below; /* elements of the output per step of this dimension */
    below *= p->before[d] + p->size[d] + p->after[d];
  }
  to = filled(to, p->before[0] * wide[0], bytes, value);
  for (int32_t i = 0; i < p->size[0]; ++i) {
    to = filled(to, p->before[1] * wide[1], bytes, value);
    for (int32_t j = 0; j < p->size[1]; ++j) {
      to = filled(to, p->before[2] * wide[2], bytes, value);
      for (int32_t k = 0; k < p->size[2]; ++k, from += row, to += row) {
        to = filled(to, p->before[3], bytes, value);
        memcpy(to, from, (size_t)row);
        (void)filled(to + row, p->after[3], bytes, value);
        to += p->after[3] * bytes;
      }
      to = filled(to, p->after[2] * wide[2], bytes, value);
    }
    to = filled(to, p->after[1] * wide[1], bytes, value);
  }
  (void)filled(to, p->after[0] * wide[0], bytes, value);
}
