/* Functions that need the exponential: softmax, logistic, tanh. */
#include "onebit_f32.h"
#include "onebit_kernels.h"

/* exp(x) = 2^n * exp(r) with n the integer nearest to x / ln 2, so that |r| <= ln 2 / 2, where the
 * Taylor polynomial of degree 7 is within 2^-27 of exp(r); together 2 units in the last place. */
float onebit_exp(float x) {
  if (x != x) return x;
  if (x > 88.72283f) return INFINITY;
  if (x < -103.97208f) return 0.0f;
  const float scaled = x * 1.44269504f;
  const int32_t n = (int32_t)(scaled < 0.0f ? scaled - 0.5f : scaled + 0.5f);
  /* ln 2 in two parts, the first with so few bits that n times it is exact. */
  const float r = (x - (float)n * 0.693359375f) + (float)n * 2.12194440e-4f;
  float p = 1.98412698e-4f;
  p = p * r + 1.38888889e-3f;
  p = p * r + 8.33333333e-3f;
  p = p * r + 4.16666667e-2f;
  p = p * r + 1.66666667e-1f;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  /* Two powers, since 2^n itself may not be a float. */
  const int32_t half = n / 2;
  const uint32_t bits[2] = {(uint32_t)(half + 127) << 23, (uint32_t)(n - half + 127) << 23};
  float powers[2];
  memcpy(powers, bits, sizeof powers);
  return p * powers[0] * powers[1];
}

void onebit_softmax_f32(const float* x, float* y, int32_t rows, int32_t channels, float beta) {
  for (int32_t r = 0; r < rows; ++r, x += channels, y += channels) {
    float most = x[0], sum = 0.0f;
    for (int32_t c = 1; c < channels; ++c) most = x[c] > most ? x[c] : most;
    for (int32_t c = 0; c < channels; ++c) {
      y[c] = onebit_exp((x[c] - most) * beta);
      sum += y[c];
    }
    for (int32_t c = 0; c < channels; ++c) y[c] /= sum;
  }
}

static float logistic(float x) {
  if (x >= 0.0f) return 1.0f / (1.0f + onebit_exp(-x));
  const float e = onebit_exp(x);
  return e / (1.0f + e);
}

static float tangent(float x) {
  const float size = x < 0.0f ? -x : x;
  float t;
  if (size < 0.25f) { /* the quotient below would cancel */
    const float q = x * x;
    return x * (1.0f + q * (-0.333333333f +
                            q * (0.133333333f +
                                 q * (-0.0539682540f + q * (0.0218694885f - q * 0.00886323552f)))));
  }
  t = onebit_exp(-2.0f * size);
  t = (1.0f - t) / (1.0f + t);
  return x < 0.0f ? -t : t;
}

void onebit_exponential_f32(int32_t kind, const float* x, float* y, int32_t count) {
  for (int32_t i = 0; i < count; ++i) {
    const float v = x[i];
    y[i] = kind == ONEBIT_LOGISTIC ? logistic(v) : kind == ONEBIT_TANH ? tangent(v) : onebit_exp(v);
  }
}
