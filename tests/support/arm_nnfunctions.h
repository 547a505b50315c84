/* What exports with --cmsis-nn use of CMSIS-NN, in our own words, refusing everything: enough to
 * compile them, and to see that they fall back to our kernels. */
#ifndef ARM_NNFUNCTIONS_H_
#define ARM_NNFUNCTIONS_H_

#include <stdint.h>

typedef enum { ARM_CMSIS_NN_SUCCESS = 0, ARM_CMSIS_NN_ARG_ERROR = -1 } arm_cmsis_nn_status;

typedef struct {
  int32_t w, h;
} cmsis_nn_tile;

typedef struct {
  void* buf;
  int32_t size;
} cmsis_nn_context;

typedef struct {
  int32_t n, h, w, c;
} cmsis_nn_dims;

typedef struct {
  int32_t *multiplier, *shift;
} cmsis_nn_per_channel_quant_params;

typedef struct {
  int32_t min, max;
} cmsis_nn_activation;

typedef struct {
  int32_t input_offset, output_offset;
  cmsis_nn_tile stride, padding, dilation;
  cmsis_nn_activation activation;
} cmsis_nn_conv_params;

typedef struct {
  int32_t input_offset, output_offset, ch_mult;
  cmsis_nn_tile stride, padding, dilation;
  cmsis_nn_activation activation;
} cmsis_nn_dw_conv_params;

#define REFUSED(params, kernel)                                                               \
  static inline int32_t kernel##_get_buffer_size(const params* p, const cmsis_nn_dims* in,    \
                                                 const cmsis_nn_dims* filter,                 \
                                                 const cmsis_nn_dims* out) {                  \
    (void)p, (void)in, (void)filter, (void)out;                                               \
    return 0;                                                                                 \
  }                                                                                           \
  static inline arm_cmsis_nn_status kernel(                                                   \
      const cmsis_nn_context* c, const params* p, const cmsis_nn_per_channel_quant_params* q, \
      const cmsis_nn_dims* in, const int8_t* x, const cmsis_nn_dims* filter, const int8_t* f, \
      const cmsis_nn_dims* bias, const int32_t* b, const cmsis_nn_dims* out, int8_t* y) {     \
    (void)c, (void)p, (void)q, (void)in, (void)x, (void)filter, (void)f, (void)bias, (void)b; \
    (void)out, (void)y;                                                                       \
    return ARM_CMSIS_NN_ARG_ERROR;                                                            \
  }

REFUSED(cmsis_nn_conv_params, arm_convolve_wrapper_s8)
REFUSED(cmsis_nn_dw_conv_params, arm_depthwise_conv_wrapper_s8)

#endif /* ARM_NNFUNCTIONS_H_ */
