/* Kernels of binary neural networks in C99, for microcontrollers and anything else.
 *
 * Written by `onebit convert export`; do not edit. No allocation, no global state, no library but
 * memcpy and memset. Images are [rows, columns, channels]. Bits are signs, 1 for -1, packed along
 * the channels into 32-bit words, least significant bit first; the unused bits of the last word
 * are 0. Every function is exact in integers; floats are rounded to nearest after each operation.
 */
#ifndef ONEBIT_KERNELS_H_
#define ONEBIT_KERNELS_H_

#include <math.h> /* INFINITY, no function */
#include <stdint.h>
#include <string.h>

#include "onebit_config.h"

/* a·b + c must be rounded twice, as it is by TensorFlow Lite, whatever the processor offers. Loops
 * that copy a few words are to stay loops, not to become calls of memcpy. */
#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off", "no-tree-loop-distribute-patterns")
#endif

/* Inner loops are not inlined, for they need all registers. Files whose other code is to be small
 * say so to GCC, by a pragma. */
#if defined(__GNUC__) && !defined(__clang__)
#define ONEBIT_FAST __attribute__((noinline, optimize("O2")))
#elif defined(__GNUC__)
#define ONEBIT_FAST __attribute__((noinline))
#else
#define ONEBIT_FAST
#endif
#if defined(__GNUC__)
#define ONEBIT_INLINE static inline __attribute__((always_inline))
#else
#define ONEBIT_INLINE static inline
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define ONEBIT_WORDS(channels) (((channels) + 31) / 32)

/* A window over an image. `in_c` and `out_c` count channels; those of bits take
 * ONEBIT_WORDS(channels) words. The taps outside the image are pads. */
typedef struct {
  int32_t in_h, in_w, in_c;
  int32_t out_h, out_w, out_c;
  int32_t kernel_h, kernel_w;
  int32_t stride_h, stride_w;
  int32_t dilation_h, dilation_w;
  int32_t pad_top, pad_left;
} onebit_window;

/* The rows and columns of a window that lie inside the image. */
typedef struct {
  int32_t y0, y1, x0, x1;
} onebit_part;

static inline onebit_part onebit_part_of(const onebit_window* w, int32_t oy, int32_t ox) {
  const int32_t top = oy * w->stride_h - w->pad_top, left = ox * w->stride_w - w->pad_left;
  onebit_part p;
  p.y0 = top < 0 ? 0 : top;
  p.x0 = left < 0 ? 0 : left;
  p.y1 = top + w->kernel_h < w->in_h ? top + w->kernel_h : w->in_h;
  p.x1 = left + w->kernel_w < w->in_w ? left + w->kernel_w : w->in_w;
  return p;
}

/* --- Signs: onebit_signs.c */

void onebit_sign_bits_f32(const float* x, uint32_t* y, int32_t rows, int32_t channels);
void onebit_sign_bits_s8(const int8_t* x, uint32_t* y, int32_t rows, int32_t channels,
                         int32_t zero_point);
void onebit_sign_bits_u8(const uint8_t* x, uint32_t* y, int32_t rows, int32_t channels,
                         int32_t zero_point);
void onebit_sign_bits_bool(const uint8_t* x, uint32_t* y, int32_t rows, int32_t channels);
void onebit_sign_values_f32(const uint32_t* x, float* y, int32_t rows, int32_t channels);
/* `positive` and `negative` are what +1 and -1 become. */
void onebit_sign_values_8(const uint32_t* x, void* y, int32_t rows, int32_t channels,
                          uint8_t positive, uint8_t negative);
/* Maximum of ±1 over a window: a bit is 1 where all bits in the image are. */
void onebit_max_pool_bits(const onebit_window* w, const uint32_t* x, uint32_t* y);

/* --- What layers with bits as output share: onebit_bands.c */

/* Bits that are 1 where a sum is above its limit. Returns behind the words. */
uint32_t* onebit_bits_above(const int32_t* sums, const onebit_limit* limits, int32_t count,
                            uint32_t* words);

/* Max-pooling of a layer's bits, a row of windows at a time: windows that follow each other from
 * row to row, without pads in front. */
typedef struct {
  int32_t kernel_h, kernel_w;
  int32_t stride_w;
  int32_t out_w;
} onebit_bands;

/* Computes the rows [first, last) of a layer's bits. */
typedef void (*onebit_rows)(const void* layer, const void* x, uint32_t* y, uint32_t* scratch,
                            int32_t first, int32_t last);

/* The pooled bits of a layer whose output's window is `w`; a band lies in the scratch memory, in
 * front of the layer's. */
void onebit_pool_bands(const onebit_bands* pool, const onebit_window* w, onebit_rows rows,
                       const void* layer, const void* x, uint32_t* y, uint32_t* scratch);

/* --- Binary convolution: onebit_bconv.c */

/* With a the differing bits of K products, their sum is K - 2a. The output is a bit that is 1 where
 * 2a > limits[o], or clamp(2a) * multipliers[o] + biases[o]. A pad of zero counts as half a
 * differing bit. */
typedef struct {
  onebit_window window;
  int32_t groups;
  int32_t zero_padding;    /* pads are 0, else +1 */
  const uint32_t* filters; /* [out_c][kernel_h][kernel_w][words of a group's channels] */
  const onebit_limit* limits;
  const float* multipliers;
  const float* biases;
  int32_t clamp_min, clamp_max;
} onebit_bconv;

/* Words of scratch memory. */
#define ONEBIT_BCONV_SCRATCH(kernel_h, kernel_w, group_words, out_c) \
  ((kernel_h) * (kernel_w) * (group_words) + (out_c))

void onebit_bconv_bits(const onebit_bconv* l, const uint32_t* x, uint32_t* y, uint32_t* scratch);
/* With max-pooling of bits behind it. */
void onebit_bconv_pool_bits(const onebit_bconv* l, const onebit_bands* pool, const uint32_t* x,
                            uint32_t* y, uint32_t* scratch);
void onebit_bconv_f32(const onebit_bconv* l, const uint32_t* x, float* y, uint32_t* scratch);
void onebit_bconv_s8(const onebit_bconv* l, const uint32_t* x, int8_t* y, uint32_t* scratch);

/* --- Float inputs and ±1 weights: onebit_signed_f32.c */

/* The output is clamp(sum * scales[o] + biases[o]); scales may be NULL for 1, biases for 0.
 * Weights are bits: [out_c][taps], taps = kernel_h * kernel_w * channels of a group, or
 * [kernel_h * kernel_w][out_c] of a depthwise filter; each row in whole words. */
typedef struct {
  onebit_window window;
  int32_t groups;
  const uint32_t* filters;
  const float* scales;
  const float* biases;
  float clamp_min, clamp_max;
} onebit_signed_conv;

/* The scratch memory takes the taps of a group. */
void onebit_signed_conv_f32(const onebit_signed_conv* l, const float* x, float* y, float* scratch);
void onebit_signed_depthwise_f32(const onebit_signed_conv* l, const float* x, float* y);

/* --- 8-bit inputs and ±1 weights: onebit_pixels.c */

/* With the integer sum S of factor * input - zero_point, pads being 0, the output is a bit
 * that is 1 where S > limits[o], or clamp(S * step * scales[o] + biases[o]). */
typedef struct {
  onebit_window window;
  int32_t is_unsigned;
  int32_t factor, zero_point;
  const uint32_t* filters; /* [out_c][taps], each row in whole words */
  const onebit_limit* limits;
  float step;
  const float* scales; /* NULL for 1 */
  const float* biases; /* NULL for 0 */
  float clamp_min, clamp_max;
} onebit_pixel_conv;

/* The scratch memory takes out_c sums for each of four output columns (one of a dense layer), twice
 * beyond 128 taps; two words each for the taps in fours (of a dense layer at most 128) and for 16
 * sums of each four taps, but no more than 32 fours, or for the numbers under four windows. */
void onebit_pixel_conv_bits(const onebit_pixel_conv* l, const void* x, uint32_t* y,
                            uint32_t* scratch);
void onebit_pixel_conv_pool_bits(const onebit_pixel_conv* l, const onebit_bands* pool,
                                 const void* x, uint32_t* y, uint32_t* scratch);
void onebit_pixel_conv_f32(const onebit_pixel_conv* l, const void* x, float* y, uint32_t* scratch);

/* --- Float layers: onebit_f32.c */

typedef struct {
  onebit_window window;
  int32_t groups; /* of a convolution; input channels have out_c / in_c outputs each if depthwise */
  const float*
      filters;         /* [out_c][kernel_h][kernel_w][in_c / groups], [kernel_h][kernel_w][out_c] */
  const float* biases; /* NULL for 0 */
  float clamp_min, clamp_max;
} onebit_conv_f32_layer;

void onebit_conv_f32(const onebit_conv_f32_layer* l, const float* x, float* y);
void onebit_depthwise_f32(const onebit_conv_f32_layer* l, const float* x, float* y);
void onebit_max_pool_f32(const onebit_window* w, const float* x, float* y, float clamp_min,
                         float clamp_max);
void onebit_average_pool_f32(const onebit_window* w, const float* x, float* y, float clamp_min,
                             float clamp_max);
/* Means over the middle of [outer, middle, inner]. */
void onebit_mean_f32(const float* x, float* y, int32_t outer, int32_t middle, int32_t inner);

/* --- The exponential: onebit_exp.c */

enum { ONEBIT_EXP, ONEBIT_LOGISTIC, ONEBIT_TANH };

float onebit_exp(float x);
void onebit_exponential_f32(int32_t kind, const float* x, float* y, int32_t count);
void onebit_softmax_f32(const float* x, float* y, int32_t rows, int32_t channels, float beta);

/* --- Element by element: onebit_elementwise.c */

enum {
  ONEBIT_ADD,
  ONEBIT_SUB,
  ONEBIT_MUL,
  ONEBIT_DIV,
  ONEBIT_MAXIMUM,
  ONEBIT_MINIMUM,
  ONEBIT_PRELU /* a, or a * b where a is below zero */
};

/* Two operands over up to four dimensions; a stride of 0 repeats an operand. */
typedef struct {
  int32_t size[4];
  int32_t a[4], b[4];
} onebit_broadcast;

void onebit_elementwise_f32(int32_t kind, const onebit_broadcast* d, const float* a, const float* b,
                            float* y, float clamp_min, float clamp_max);

enum {
  ONEBIT_CLAMP,      /* to [p, q] */
  ONEBIT_LEAKY_RELU, /* p * x below zero */
  ONEBIT_HARD_SWISH
};

void onebit_unary_f32(int32_t kind, const float* x, float* y, int32_t count, float p, float q);
void onebit_quantize_s8(const float* x, int8_t* y, int32_t count, float scale, int32_t zero_point);
void onebit_dequantize_s8(const int8_t* x, float* y, int32_t count, float scale,
                          int32_t zero_point);
void onebit_dequantize_u8(const uint8_t* x, float* y, int32_t count, float scale,
                          int32_t zero_point);

/* Pixels [count / channels][channels], or int8 numbers 128 below them, as scale * pixel + offset.
 */
void onebit_pixel_numbers_f32(const void* x, float* y, int32_t count, int32_t channels,
                              int32_t is_unsigned, const float* scales, const float* offsets);

/* --- Moving: onebit_move.c */

/* Copies rows of `bytes` bytes, whose starts are `from` and `to` bytes apart. */
void onebit_copy_rows(const void* x, void* y, int32_t rows, int32_t bytes, int32_t from,
                      int32_t to);
/* Pads up to four dimensions of elements of `bytes` bytes (1 or 4) with `value`. */
typedef struct {
  int32_t size[4]; /* of the input */
  int32_t before[4], after[4];
} onebit_pads;
void onebit_pad(const onebit_pads* p, const void* x, void* y, int32_t bytes, uint32_t value);

/* --- int8 layers: onebit_s8.c */

/* A factor multiplier / 2^31 * 2^shift. */
typedef struct {
  int32_t multiplier;
  int32_t shift;
} onebit_factor;

typedef struct {
  onebit_window window;
  int32_t groups;
  const int8_t* filters;
  const int32_t* biases;
  const onebit_factor* factors; /* [out_c] */
  int32_t zero_point_in, zero_point_out;
  int32_t clamp_min, clamp_max;
} onebit_conv_s8_layer;

/* Numbers of a column of taps in scratch memory, in whole words. */
#define ONEBIT_S8_COLUMN(taps) (((taps) + 1) / 2 * 2)

/* The scratch memory takes two columns of a group's taps, or one where a row has one output; a sum
 * for each output of a depthwise layer. */
void onebit_conv_s8(const onebit_conv_s8_layer* l, const int8_t* x, int8_t* y, int16_t* scratch);
void onebit_depthwise_s8(const onebit_conv_s8_layer* l, const int8_t* x, int8_t* y,
                         int32_t* scratch);
/* The same by CMSIS-NN: onebit_cmsis_nn.c. The scratch memory takes two words for each output too.
 */
void onebit_conv_cmsis_nn(const onebit_conv_s8_layer* l, const int8_t* x, int8_t* y,
                          int32_t* scratch, int32_t bytes);
void onebit_depthwise_cmsis_nn(const onebit_conv_s8_layer* l, const int8_t* x, int8_t* y,
                               int32_t* scratch, int32_t bytes);
void onebit_max_pool_s8(const onebit_window* w, const int8_t* x, int8_t* y, int32_t clamp_min,
                        int32_t clamp_max);
void onebit_average_pool_s8(const onebit_window* w, const int8_t* x, int8_t* y, int32_t clamp_min,
                            int32_t clamp_max);
void onebit_mean_s8(const int8_t* x, int8_t* y, int32_t outer, int32_t middle, int32_t inner,
                    int32_t zero_point_in, int32_t zero_point_out, onebit_factor factor);

/* ONEBIT_ADD, ONEBIT_SUB or ONEBIT_MUL. */
typedef struct {
  onebit_broadcast shape;
  int32_t kind;
  int32_t zero_point_a, zero_point_b, zero_point_out;
  onebit_factor factor_a, factor_b, factor_out;
  int32_t clamp_min, clamp_max;
} onebit_elementwise_s8_layer;

void onebit_elementwise_s8(const onebit_elementwise_s8_layer* l, const int8_t* a, const int8_t* b,
                           int8_t* y);
/* Any function of one number: table[q + 128]. */
void onebit_lookup_s8(const int8_t* x, int8_t* y, int32_t count, const int8_t* table);
/* exponentials[d] of a number d steps below the largest. */
void onebit_softmax_s8(const int8_t* x, int8_t* y, int32_t rows, int32_t channels,
                       const float* exponentials, float scale, int32_t zero_point);

#ifdef __cplusplus
}
#endif

#endif /* ONEBIT_KERNELS_H_ */
