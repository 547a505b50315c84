/* Signs: numbers to bits and back, and the maximum of ±1. */
#include "onebit_kernels.h"

void onebit_sign_bits_f32(const float* x, uint32_t* y, int32_t rows, int32_t channels) {
  for (int32_t r = 0; r < rows; ++r) {
    for (int32_t c = 0; c < channels; c += 32) {
      const int32_t count = channels - c < 32 ? channels - c : 32;
      uint32_t word = 0;
      for (int32_t i = 0; i < count; ++i) word |= (uint32_t)(*x++ < 0.0f) << i;
      *y++ = word;
    }
  }
}

void onebit_sign_bits_s8(const int8_t* x, uint32_t* y, int32_t rows, int32_t channels,
                         int32_t zero_point) {
  for (int32_t r = 0; r < rows; ++r) {
    for (int32_t c = 0; c < channels; c += 32) {
      const int32_t count = channels - c < 32 ? channels - c : 32;
      uint32_t word = 0;
      for (int32_t i = 0; i < count; ++i) word |= (uint32_t)(*x++ < zero_point) << i;
      *y++ = word;
    }
  }
}

void onebit_sign_bits_u8(const uint8_t* x, uint32_t* y, int32_t rows, int32_t channels,
                         int32_t zero_point) {
  for (int32_t r = 0; r < rows; ++r) {
    for (int32_t c = 0; c < channels; c += 32) {
      const int32_t count = channels - c < 32 ? channels - c : 32;
      uint32_t word = 0;
      for (int32_t i = 0; i < count; ++i) word |= (uint32_t)(*x++ < zero_point) << i;
      *y++ = word;
    }
  }
}

void onebit_sign_bits_bool(const uint8_t* x, uint32_t* y, int32_t rows, int32_t channels) {
  for (int32_t r = 0; r < rows; ++r) {
    for (int32_t c = 0; c < channels; c += 32) {
      const int32_t count = channels - c < 32 ? channels - c : 32;
      uint32_t word = 0;
      for (int32_t i = 0; i < count; ++i) word |= (uint32_t)(*x++ == 0) << i;
      *y++ = word;
    }
  }
}

void onebit_sign_values_f32(const uint32_t* x, float* y, int32_t rows, int32_t channels) {
  for (int32_t r = 0; r < rows; ++r) {
    for (int32_t c = 0; c < channels; c += 32) {
      const int32_t count = channels - c < 32 ? channels - c : 32;
      const uint32_t word = *x++;
      for (int32_t i = 0; i < count; ++i) *y++ = (word >> i) & 1 ? -1.0f : 1.0f;
    }
  }
}

void onebit_sign_values_8(const uint32_t* x, void* y, int32_t rows, int32_t channels,
                          uint8_t positive, uint8_t negative) {
  uint8_t* to = (uint8_t*)y;
  for (int32_t r = 0; r < rows; ++r) {
    for (int32_t c = 0; c < channels; c += 32) {
      const int32_t count = channels - c < 32 ? channels - c : 32;
      const uint32_t word = *x++;
      for (int32_t i = 0; i < count; ++i) *to++ = (word >> i) & 1 ? negative : positive;
    }
  }
}

void onebit_max_pool_bits(const onebit_window* w, const uint32_t* x, uint32_t* y) {
  const int32_t words = ONEBIT_WORDS(w->in_c);
  for (int32_t oy = 0; oy < w->out_h; ++oy) {
    const int32_t top = oy * w->stride_h - w->pad_top;
    const int32_t y0 = top < 0 ? 0 : top;
    const int32_t y1 = top + w->kernel_h < w->in_h ? top + w->kernel_h : w->in_h;
    for (int32_t ox = 0; ox < w->out_w; ++ox) {
      const int32_t left = ox * w->stride_w - w->pad_left;
      const int32_t x0 = left < 0 ? 0 : left;
      const int32_t x1 = left + w->kernel_w < w->in_w ? left + w->kernel_w : w->in_w;
      for (int32_t i = 0; i < words; ++i) {
        uint32_t all = 0xffffffffu;
        for (int32_t iy = y0; iy < y1; ++iy) {
          const uint32_t* p = x + (iy * w->in_w + x0) * words + i;
          for (int32_t ix = x0; ix < x1; ++ix, p += words) all &= *p;
        }
        *y++ = all;
      }
    }
  }
}
