/* Operations on floats element by element. */
#include "onebit_dot.h"
#include "onebit_f32.h"
#include "onebit_kernels.h"

static float combined(int32_t kind, float a, float b) {
  switch (kind) {
    case ONEBIT_ADD:
      return a + b;
    case ONEBIT_SUB:
      return a - b;
    case ONEBIT_MUL:
      return a * b;
    case ONEBIT_DIV:
      return a / b;
    case ONEBIT_MAXIMUM:
      return a > b ? a : b;
    case ONEBIT_MINIMUM:
      return a < b ? a : b;
    default:
      return a >= 0.0f ? a : a * b; /* ONEBIT_PRELU */
  }
}

void onebit_elementwise_f32(int32_t kind, const onebit_broadcast* d, const float* a, const float* b,
                            float* y, float clamp_min, float clamp_max) {
  for (int32_t i = 0; i < d->size[0]; ++i) {
    for (int32_t j = 0; j < d->size[1]; ++j) {
      for (int32_t k = 0; k < d->size[2]; ++k) {
        const float* p = a + i * d->a[0] + j * d->a[1] + k * d->a[2];
        const float* q = b + i * d->b[0] + j * d->b[1] + k * d->b[2];
        for (int32_t c = 0; c < d->size[3]; ++c, p += d->a[3], q += d->b[3]) {
          *y++ = onebit_clamp(combined(kind, *p, *q), clamp_min, clamp_max);
        }
      }
    }
  }
}

static float converted(int32_t kind, float x, float p, float q) {
  switch (kind) {
    case ONEBIT_LEAKY_RELU:
      return x < 0.0f ? x * p : x;
    case ONEBIT_HARD_SWISH:
      return x * (onebit_clamp(x + 3.0f, 0.0f, 6.0f) / 6.0f);
    default:
      return onebit_clamp(x, p, q); /* ONEBIT_CLAMP */
  }
}

void onebit_unary_f32(int32_t kind, const float* x, float* y, int32_t count, float p, float q) {
  for (int32_t i = 0; i < count; ++i) y[i] = converted(kind, x[i], p, q);
}

void onebit_quantize_s8(const float* x, int8_t* y, int32_t count, float scale, int32_t zero_point) {
  for (int32_t i = 0; i < count; ++i) {
    /* Rounded before the zero point is added. */
    const float steps = onebit_clamp(x[i] / scale, -1000.0f, 1000.0f);
    int32_t whole = (int32_t)steps;
    const float part = steps - (float)whole;
    whole += part >= 0.5f ? 1 : part <= -0.5f ? -1 : 0;
    whole += zero_point;
    y[i] = (int8_t)(whole < -128 ? -128 : whole > 127 ? 127 : whole);
  }
}

void onebit_dequantize_s8(const int8_t* x, float* y, int32_t count, float scale,
                          int32_t zero_point) {
  for (int32_t i = 0; i < count; ++i) y[i] = (float)(x[i] - zero_point) * scale;
}

void onebit_dequantize_u8(const uint8_t* x, float* y, int32_t count, float scale,
                          int32_t zero_point) {
  for (int32_t i = 0; i < count; ++i) y[i] = (float)(x[i] - zero_point) * scale;
}

void onebit_pixel_numbers_f32(const void* x, float* y, int32_t count, int32_t channels,
                              int32_t is_unsigned, const float* scales, const float* offsets) {
  const uint8_t* from = (const uint8_t*)x;
  /* An int8 number 128 below a pixel has the pixel's bits but for the highest one. */
  const uint8_t flipped = is_unsigned ? 0 : 128;
  for (; count > 0; count -= channels) {
    for (int32_t c = 0; c < channels; ++c) {
      *y++ = (float)(*from++ ^ flipped) * scales[c] + offsets[c];
    }
  }
}
