// FULLY_CONNECTED, CONV_2D or DEPTHWISE_CONV_2D of floats whose weights are the LceDequantize of a
// constant: computed from the packed bits.
#include <algorithm>

#include "geometry.h"
#include "op_elementwise.h"
#include "op_types.h"
#include "select.h"

namespace onebit {
namespace {

enum { kInput, kWeights, kBias };

struct State {
  Window window;
  bool same, depthwise, dense, keep_dims;
  TensorInfo filter;  // the unpacked one

  b1::ConvShape shape;
  const b1::WconvKernel* kernel;
  const b1::WdepthwiseKernel* depthwise_kernel;
  int packed_groups;  // that `filter_data` was packed for; 0: not yet
  Buffer filter_data, channel_data;
  b1::WconvCall call;
};

const TfLiteFullyConnectedParams& dense_params(const TfLiteNode& node) {
  return *static_cast<const TfLiteFullyConnectedParams*>(node.builtin_data);
}
const TfLiteConvParams& conv_params(const TfLiteNode& node) {
  return *static_cast<const TfLiteConvParams*>(node.builtin_data);
}
const TfLiteDepthwiseConvParams& depthwise_params(const TfLiteNode& node) {
  return *static_cast<const TfLiteDepthwiseConvParams*>(node.builtin_data);
}

int dense_activation(const TfLiteNode& node) { return dense_params(node).activation; }
int conv_activation(const TfLiteNode& node) { return conv_params(node).activation; }
int depthwise_activation(const TfLiteNode& node) { return depthwise_params(node).activation; }

// The requirements that all three kinds share.
bool supports_layer(const TfLiteContext& context, const TfLiteNode& node, int activation,
                    int filter_rank, TensorInfo* in, TensorInfo* filter) {
  if (node.inputs->size < 2 || node.inputs->size > 3 || !known_activation(activation)) return false;
  const TfLiteTensor* x = tensor_at(context, node.inputs, kInput);
  const TfLiteTensor* weights = tensor_at(context, node.inputs, kWeights);
  const TfLiteTensor* bias = tensor_at(context, node.inputs, kBias);
  if (!is_float(x) || !is_float(weights) || !is_float(tensor_at(context, node.outputs, 0)) ||
      (bias && (!is_float(bias) || !is_constant(*bias)))) {
    return false;
  }
  read_info(*x, in);
  read_info(*weights, filter);
  return in->rank > 0 && filter->rank == filter_rank && elements(*filter) > 0;
}

bool supports_dense(const TfLiteContext& context, const TfLiteNode& node) {
  TensorInfo in, filter;
  return node.builtin_data && dense_params(node).weights_format == 0 &&
         supports_layer(context, node, dense_activation(node), 2, &in, &filter) &&
         elements(in) % filter.dims[1] == 0 &&
         (!dense_params(node).keep_num_dims || channels(in) == filter.dims[1]);
}

bool known_padding(int padding) {
  return padding == kTfLitePaddingSame || padding == kTfLitePaddingValid;
}

// As in TFLite, a filter of fewer channels than the input is one of several groups.
bool fits_in_groups(int channels_in, const TensorInfo& filter) {
  if (channels_in < 1 || channels_in % filter.dims[3] != 0) return false;
  return filter.dims[0] % (channels_in / filter.dims[3]) == 0;
}

bool supports_conv(const TfLiteContext& context, const TfLiteNode& node) {
  TensorInfo in, filter;
  return node.builtin_data && known_padding(conv_params(node).padding) &&
         supports_layer(context, node, conv_activation(node), 4, &in, &filter) && in.rank == 4 &&
         fits_in_groups(channels(in), filter);
}

bool supports_depthwise(const TfLiteContext& context, const TfLiteNode& node) {
  TensorInfo in, filter;
  return node.builtin_data && known_padding(depthwise_params(node).padding) &&
         supports_layer(context, node, depthwise_activation(node), 4, &in, &filter) &&
         in.rank == 4 && filter.dims[0] == 1 &&
         filter.dims[3] ==
             static_cast<int64_t>(channels(in)) * depthwise_params(node).depth_multiplier;
}

// Reads the built-in options; `supports` saw that they are there.
template <class Params>
void read_window(const Params& params, State* state) {
  Window& w = state->window;
  w.stride_h = params.stride_height, w.stride_w = params.stride_width;
  w.dilation_h = params.dilation_height_factor, w.dilation_w = params.dilation_width_factor;
  state->same = params.padding == kTfLitePaddingSame;
}

bool parse(Partition& p, Op& op, const TfLiteNode& node, const Claim& claim) {
  if (!make_state<State>(p, op)) return false;
  State& state = op.state_as<State>();
  if (!p.value_of(claim.packed_filter, &op.node_inputs[kWeights])) return p.out_of_memory(op);
  read_info(p.context->tensors[claim.filter], &state.filter);
  Window& w = state.window;
  w.stride_h = w.stride_w = w.dilation_h = w.dilation_w = 1;
  if (op.type == &kWeightOnlyDense) {
    state.dense = true;
    state.keep_dims = dense_params(node).keep_num_dims;
  } else if (op.type == &kWeightOnlyConv) {
    read_window(conv_params(node), &state);
  } else {
    read_window(depthwise_params(node), &state);
    state.depthwise = true;
  }
  for (const int value : {w.stride_h, w.stride_w, w.dilation_h, w.dilation_w}) {
    if (value < 1 || value > kMaxWindow) {
      return p.fail(op, "a stride or dilation is %d, not within 1 and %d", value, kMaxWindow);
    }
  }
  return true;
}

// Whether the packed constant has the bits of the filter: each last dimension in whole words, or,
// packed flat, all that belongs to an output.
bool check_words(Partition& p, Op& op, const State& state) {
  const Value& packed = p.values[op.inputs[kWeights]];
  const TensorInfo& filter = state.filter;
  const bool flat = packed.rank < filter.rank;
  const int64_t bits = flat ? elements(filter) / filter.dims[0] : channels(filter);
  bool same = packed.type == kTfLiteInt32 && packed.rank == (flat ? 2 : filter.rank) &&
              bits <= INT32_MAX - 32 && packed.dims[0] == filter.dims[0] &&
              channels(packed) == b1::words_for(static_cast<int>(bits));
  for (int i = 1; same && i + 1 < packed.rank; ++i) same = packed.dims[i] == filter.dims[i];
  return same || p.fail(op, "its packed weights do not have the shape of its filter");
}

bool find_dense_shape(Partition& p, Op& op, State& state, const Value& in) {
  b1::ConvShape& s = state.shape;
  s.channels_in = state.filter.dims[1];
  s.channels_out = state.filter.dims[0];
  if (elements(in) % s.channels_in != 0 || (state.keep_dims && channels(in) != s.channels_in)) {
    return p.fail(op,
                  "an input of %lld values, %d in its last dimension, does not fit weights of %d",
                  static_cast<long long>(elements(in)), channels(in), s.channels_in);
  }
  s.batch = static_cast<int>(elements(in) / s.channels_in);
  s.groups = s.in_h = s.in_w = state.window.kernel_h = state.window.kernel_w = 1;
  return true;
}

bool find_conv_shape(Partition& p, Op& op, State& state, const Value& in) {
  b1::ConvShape& s = state.shape;
  const TensorInfo& filter = state.filter;
  if (in.rank != 4) return p.fail(op, "needs an input [N, H, W, C]");
  s.batch = in.dims[0], s.in_h = in.dims[1], s.in_w = in.dims[2], s.channels_in = in.dims[3];
  s.channels_out = filter.dims[state.depthwise ? 3 : 0];
  s.groups = 1;
  state.window.kernel_h = filter.dims[1], state.window.kernel_w = filter.dims[2];
  const bool fits = state.depthwise ? s.channels_in > 0 && s.channels_out % s.channels_in == 0
                                    : fits_in_groups(s.channels_in, filter);
  if (!fits) {
    return p.fail(op, "a filter [%d, %d, %d, %d] does not fit %d channels", filter.dims[0],
                  filter.dims[1], filter.dims[2], filter.dims[3], s.channels_in);
  }
  if (!state.depthwise) s.groups = s.channels_in / filter.dims[3];
  return true;
}

bool infer(Partition& p, Op& op) {
  State& state = op.state_as<State>();
  const Value in = p.values[op.inputs[kInput]];
  if (in.type != kTfLiteFloat32 || in.rank < 1 || elements(in) < 0) {
    return p.fail(op, "needs a float32 input");
  }
  if (!check_words(p, op, state) ||
      !(state.dense ? find_dense_shape(p, op, state, in) : find_conv_shape(p, op, state, in))) {
    return false;
  }
  b1::ConvShape& s = state.shape;
  Window& w = state.window;
  if (w.kernel_h > kMaxWindow || w.kernel_w > kMaxWindow || s.channels_in > 1 << 24) {
    return p.fail(op, "its window is too large");
  }
  if (!w.place(s.in_h, s.in_w, state.same)) return p.fail(op, "its window does not fit the input");
  s.out_h = w.out_h, s.out_w = w.out_w;
  s.kernel_h = w.kernel_h, s.kernel_w = w.kernel_w;
  s.stride_h = w.stride_h, s.stride_w = w.stride_w;
  s.dilation_h = w.dilation_h, s.dilation_w = w.dilation_w;
  s.pad_top = w.pad_top, s.pad_left = w.pad_left;
  const int64_t plane = static_cast<int64_t>(s.out_h) * s.out_w;
  const int64_t steps = static_cast<int64_t>(s.kernel_h) * s.kernel_w * s.group_words();
  if (plane > 1 << 28 || plane * s.batch > 1 << 28 || plane * s.batch * s.channels_out > 1 << 29 ||
      steps > 1 << 29 || steps * (s.channels_out + 64ll * s.groups) > 1 << 29) {
    return p.fail(op, "an output of %d x %d x %d with %d channels is too large", s.batch, s.out_h,
                  s.out_w, s.channels_out);
  }
  TensorInfo out;
  out.rank = 4;
  const int dims[] = {s.batch, s.out_h, s.out_w, s.channels_out};
  std::copy_n(dims, 4, out.dims);
  if (state.dense && state.keep_dims) {
    out = in;
    out.dims[out.rank - 1] = s.channels_out;
  } else if (state.dense) {
    out.rank = 2;
    out.dims[1] = s.channels_out;
  }
  p.set_shape(op.outputs[0], out.rank, out.dims, kTfLiteFloat32);
  return true;
}

// Fills scale and bias from the operator's own bias and the merged constants. A bias before a scale
// is scaled too.
bool make_channel_data(Partition& p, Op& op, State& state) {
  const int outputs = state.shape.channels_out;
  Buffer own;
  if (!state.channel_data.reserve(2 * static_cast<uint64_t>(outputs), sizeof(float)) ||
      !own.reserve(outputs, sizeof(float))) {
    return p.out_of_memory(op);
  }
  float *scale = state.channel_data.as<float>(), *bias = scale + outputs, *before = own.as<float>();
  std::fill_n(scale, outputs, 1.0f);
  std::fill_n(bias, outputs, 0.0f);
  std::fill_n(before, outputs, 0.0f);
  const int own_bias = op.inputs[kBias];
  if ((own_bias >= 0 && !copy_channel_constant(p, op, own_bias, outputs, before)) ||
      (op.scale >= 0 && !copy_channel_constant(p, op, op.scale, outputs, scale)) ||
      (op.offset >= 0 && !copy_channel_constant(p, op, op.offset, outputs, bias))) {
    return false;
  }
  for (int o = 0; o < outputs; ++o) bias[o] = before[o] * scale[o] + bias[o];
  return true;
}

// The filter's bits with each last dimension in whole words; false after `fail`.
bool read_filter(Partition& p, Op& op, const State& state, Buffer* split, const uint32_t** bits) {
  const Value& packed = p.values[op.inputs[kWeights]];
  *bits =
      static_cast<const uint32_t*>(p.constant(op.inputs[kWeights], kTfLiteInt32, elements(packed)));
  if (*bits == nullptr) return p.fail(op, "its packed weights must be constant int32");
  const TensorInfo& filter = state.filter;
  if (packed.rank == filter.rank) return true;
  const int taps = filter.dims[1] * filter.dims[2], depth = channels(filter);
  const uint64_t words = static_cast<uint64_t>(filter.dims[0]) * taps * b1::words_for(depth);
  if (!split->reserve(words, sizeof(uint32_t))) return p.out_of_memory(op);
  const Options& options = p.delegate->options;
  b1::choose_kernel<b1::UnpackKernel>(options.isa)
      ->split_rows(*bits, filter.dims[0], taps, depth, split->as<uint32_t>());
  *bits = split->as<uint32_t>();
  return true;
}

// Packs the filter for the kernel, once: its shape is the file's. Only its division into groups may
// change with the channels of the input.
bool pack_filter(Partition& p, Op& op, State& state) {
  const b1::ConvShape& s = state.shape;
  if (state.packed_groups == s.groups) return true;
  state.packed_groups = 0;
  Buffer split;
  const uint32_t* bits;
  if (!read_filter(p, op, state, &split, &bits)) return false;
  if (state.depthwise) {
    if (!state.filter_data.reserve(state.depthwise_kernel->signs(s), sizeof(float))) {
      return p.out_of_memory(op);
    }
    state.depthwise_kernel->expand_filter(s, bits, state.filter_data.as<float>());
  } else {
    if (!state.filter_data.reserve(state.kernel->filter_words(s), sizeof(uint32_t))) {
      return p.out_of_memory(op);
    }
    state.kernel->pack_filter(s, bits, state.filter_data.as<uint32_t>());
  }
  state.packed_groups = s.groups;
  return true;
}

bool prepare(Partition& p, Op& op) {
  State& state = op.state_as<State>();
  const b1::ConvShape& s = state.shape;
  const Options& options = p.delegate->options;
  state.kernel = b1::choose_kernel<b1::WconvKernel>(options.isa);
  state.depthwise_kernel = b1::choose_kernel<b1::WdepthwiseKernel>(options.isa);
  if (!make_channel_data(p, op, state) || !pack_filter(p, op, state)) return false;
  b1::WconvCall& call = state.call;
  call.shape = &s;
  call.filter = state.filter_data.as<uint32_t>();
  call.signs = state.filter_data.as<float>();
  call.scale = state.channel_data.as<float>();
  call.bias = call.scale + s.channels_out;
  const bool merged = op.scale >= 0 || op.offset >= 0;
  activation_range(merged ? op.merged_activation : op.activation, &call.low, &call.high);
  op.kernel = state.depthwise ? state.depthwise_kernel->info.name : state.kernel->info.name;
  op.macs = static_cast<int64_t>(s.pixels()) * s.channels_out * s.kernel_h * s.kernel_w *
            (state.depthwise ? 1 : s.channels_in / s.groups);
  return true;
}

void compute(void* context, int first, int last) {
  const State& state = *static_cast<State*>(context);
  if (state.depthwise) {
    state.depthwise_kernel->run(state.call, first, last);
  } else {
    state.kernel->run(state.call, first, last);
  }
}

void run(Partition& p, Op& op) {
  State& state = op.state_as<State>();
  const b1::ConvShape& s = state.shape;
  state.call.input = p.data<float>(op.inputs[kInput]);
  state.call.out = p.data<float>(op.outputs[0]);
  p.delegate->pool.run(state.depthwise ? s.batch * s.out_h : state.kernel->items(s), compute,
                       &state);
}

size_t constant_bytes(const Op& op) {
  const State& s = op.state_as<State>();
  return s.filter_data.size() + s.channel_data.size();
}

constexpr OpType weight_only(const char* name, int builtin,
                             bool (*supports)(const TfLiteContext&, const TfLiteNode&),
                             int (*activation)(const TfLiteNode&)) {
  return {.name = name,
          .builtin = builtin,
          .supports = supports,
          .activation = activation,
          .parse = parse,
          .infer = infer,
          .prepare = prepare,
          .run = run,
          .constant_bytes = constant_bytes,
          .merges = kTakesScale | kTakesOffset};
}

}  // namespace

const OpType kWeightOnlyDense =
    weight_only("FULLY_CONNECTED", kTfLiteBuiltinFullyConnected, supports_dense, dense_activation);
const OpType kWeightOnlyConv =
    weight_only("CONV_2D", kTfLiteBuiltinConv2d, supports_conv, conv_activation);
const OpType kWeightOnlyDepthwise = weight_only("DEPTHWISE_CONV_2D", kTfLiteBuiltinDepthwiseConv2d,
                                                supports_depthwise, depthwise_activation);

}  // namespace onebit
