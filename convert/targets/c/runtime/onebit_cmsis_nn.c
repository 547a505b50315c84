/* int8 layers by CMSIS-NN, Arm's library, where it takes them; by our own kernels where not. */
#include "arm_nnfunctions.h"
#include "onebit_kernels.h"

/* Multipliers and shifts apart, as CMSIS-NN has them, and what is left of the scratch memory. */
typedef struct {
  cmsis_nn_per_channel_quant_params factors;
  cmsis_nn_context rest;
} divided;

static divided divide(const onebit_conv_s8_layer* l, int32_t* scratch, int32_t bytes) {
  const int32_t outputs = l->window.out_c;
  divided d;
  d.factors.multiplier = scratch;
  d.factors.shift = scratch + outputs;
  d.rest.buf = scratch + 2 * outputs;
  d.rest.size = bytes - 8 * outputs;
  for (int32_t o = 0; o < outputs; ++o) {
    d.factors.multiplier[o] = l->factors[o].multiplier;
    d.factors.shift[o] = l->factors[o].shift;
  }
  return d;
}

static cmsis_nn_dims dims(int32_t n, int32_t h, int32_t w, int32_t c) {
  cmsis_nn_dims d;
  d.n = n, d.h = h, d.w = w, d.c = c;
  return d;
}

static cmsis_nn_tile tile(int32_t h, int32_t w) {
  cmsis_nn_tile t;
  t.h = h, t.w = w;
  return t;
}

void onebit_conv_cmsis_nn(const onebit_conv_s8_layer* l, const int8_t* x, int8_t* y,
                          int32_t* scratch, int32_t bytes) {
  const onebit_window* w = &l->window;
  const cmsis_nn_dims in = dims(1, w->in_h, w->in_w, w->in_c);
  const cmsis_nn_dims filter = dims(w->out_c, w->kernel_h, w->kernel_w, w->in_c / l->groups);
  const cmsis_nn_dims bias = dims(1, 1, 1, w->out_c);
  const cmsis_nn_dims out = dims(1, w->out_h, w->out_w, w->out_c);
  const divided d = divide(l, scratch, bytes);
  cmsis_nn_conv_params p;
  p.input_offset = -l->zero_point_in;
  p.output_offset = l->zero_point_out;
  p.stride = tile(w->stride_h, w->stride_w);
  p.padding = tile(w->pad_top, w->pad_left);
  p.dilation = tile(w->dilation_h, w->dilation_w);
  p.activation.min = l->clamp_min;
  p.activation.max = l->clamp_max;
  if (arm_convolve_wrapper_s8_get_buffer_size(&p, &in, &filter, &out) > d.rest.size ||
      arm_convolve_wrapper_s8(&d.rest, &p, &d.factors, &in, x, &filter, l->filters, &bias,
                              l->biases, &out, y) != ARM_CMSIS_NN_SUCCESS) {
    onebit_conv_s8(l, x, y, (int16_t*)(void*)scratch);
  }
}

void onebit_depthwise_cmsis_nn(const onebit_conv_s8_layer* l, const int8_t* x, int8_t* y,
                               int32_t* scratch, int32_t bytes) {
  const onebit_window* w = &l->window;
  const cmsis_nn_dims in = dims(1, w->in_h, w->in_w, w->in_c);
  const cmsis_nn_dims filter = dims(1, w->kernel_h, w->kernel_w, w->out_c);
  const cmsis_nn_dims bias = dims(1, 1, 1, w->out_c);
  const cmsis_nn_dims out = dims(1, w->out_h, w->out_w, w->out_c);
  const divided d = divide(l, scratch, bytes);
  cmsis_nn_dw_conv_params p;
  p.input_offset = -l->zero_point_in;
  p.output_offset = l->zero_point_out;
  p.ch_mult = w->out_c / w->in_c;
  p.stride = tile(w->stride_h, w->stride_w);
  p.padding = tile(w->pad_top, w->pad_left);
  p.dilation = tile(w->dilation_h, w->dilation_w);
  p.activation.min = l->clamp_min;
  p.activation.max = l->clamp_max;
  if (arm_depthwise_conv_wrapper_s8_get_buffer_size(&p, &in, &filter, &out) > d.rest.size ||
      arm_depthwise_conv_wrapper_s8(&d.rest, &p, &d.factors, &in, x, &filter, l->filters, &bias,
                                    l->biases, &out, y) != ARM_CMSIS_NN_SUCCESS) {
    onebit_depthwise_s8(l, x, y, scratch);
  }
}
