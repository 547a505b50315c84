#include "op_weight_only.h"

#include "op_elementwise.h"

namespace onebit {
namespace {

enum { kInput, kWeights, kBias };

WeightOnlyState& state_of(Op& op) { return *static_cast<WeightOnlyState*>(op.state); }

// Reads the built-in options; `choose_nodes` saw that they are there.
template <class Params>
void read_window(const Params& params, WeightOnlyState* state) {
  Window& w = state->window;
  w.stride_h = params.stride_height, w.stride_w = params.stride_width;
  w.dilation_h = params.dilation_height_factor, w.dilation_w = params.dilation_width_factor;
  state->same = params.padding == kTfLitePaddingSame;
  state->activation = params.activation;
}

bool in_range(int value) { return value >= 1 && value <= kMaxWindow; }

bool parse(Partition& p, Op& op, const TfLiteNode& node) {
  WeightOnlyState* state = make_state<WeightOnlyState>(op);
  state->scale = state->add = state->flat_filter = -1;
  for (const FlatFilter& flat : p.delegate->flat_filters) {
    if (flat.node == op.node) state->flat_filter = flat.tensor;
  }
  state->depth_multiplier = 1;
  Window& w = state->window;
  w.stride_h = w.stride_w = w.dilation_h = w.dilation_w = 1;
  if (op.type == &kWeightOnlyDense) {
    const auto& params = *static_cast<const TfLiteFullyConnectedParams*>(node.builtin_data);
    state->dense = true;
    state->keep_dims = params.keep_num_dims;
    state->activation = params.activation;
  } else if (op.type == &kWeightOnlyConv) {
    read_window(*static_cast<const TfLiteConvParams*>(node.builtin_data), state);
  } else {
    const auto& params = *static_cast<const TfLiteDepthwiseConvParams*>(node.builtin_data);
    read_window(params, state);
    state->depthwise = true;
    state->depth_multiplier = params.depth_multiplier;
  }
  if (!in_range(w.stride_h) || !in_range(w.stride_w) || !in_range(w.dilation_h) ||
      !in_range(w.dilation_w) || !in_range(state->depth_multiplier)) {
    return p.fail(op, "a stride, dilation or depth multiplier is out of range");
  }
  return true;
}

bool find_shape(Partition& p, Op& op, WeightOnlyState& state) {
  const Value &in = p.values[op.inputs[kInput]], &packed = p.values[op.inputs[kWeights]];
  if (in.type != kTfLiteFloat32 || elements(in) < 0 || in.rank < 1 || elements(packed) < 0) {
    return p.fail(op, "needs a float32 input and packed weights");
  }
  b1::BconvShape& s = state.shape;
  Window& w = state.window;
  s.groups = 1;
  s.channels_in = in.dims[in.rank - 1];
  if (state.dense) {
    if (packed.rank != 2) return p.fail(op, "weights must be [outputs, words]");
    s.batch = static_cast<int>(elements(in) / s.channels_in);
    s.in_h = s.in_w = w.kernel_h = w.kernel_w = 1;
    s.channels_out = packed.dims[0];
  } else {
    const TfLiteIntArray* flat =
        state.flat_filter < 0 ? nullptr : p.context->tensors[state.flat_filter].dims;
    if (packed.rank != (flat ? 2 : 4) || in.rank != 4) {
      return p.fail(op, "needs a [N, H, W, C] input and a filter of four dimensions");
    }
    s.batch = in.dims[0], s.in_h = in.dims[1], s.in_w = in.dims[2];
    w.kernel_h = flat ? flat->data[1] : packed.dims[1];
    w.kernel_w = flat ? flat->data[2] : packed.dims[2];
    if (w.kernel_h < 1 || w.kernel_w < 1) return p.fail(op, "its filter has no taps");
    const int64_t outputs = static_cast<int64_t>(s.channels_in) * state.depth_multiplier;
    if (outputs > 1 << 24) return p.fail(op, "too many channels");
    s.channels_out = state.depthwise ? static_cast<int>(outputs) : packed.dims[0];
  }
  if (w.kernel_h > kMaxWindow || w.kernel_w > kMaxWindow || s.channels_in > 1 << 24) {
    return p.fail(op, "its window is too large");
  }
  const int64_t depth = state.depthwise ? s.channels_out : s.channels_in;
  const int64_t bits = state.flat_filter < 0 ? depth : depth * w.kernel_h * w.kernel_w;
  if (bits > INT32_MAX - 32 ||
      packed.dims[packed.rank - 1] != b1::words_for(static_cast<int>(bits)) ||
      (state.depthwise && packed.dims[0] != 1)) {
    return p.fail(op, "weights of %d words do not fit %lld channels", packed.dims[packed.rank - 1],
                  static_cast<long long>(bits));
  }
  if (!w.place(s.in_h, s.in_w, state.same)) {
    return p.fail(op, "its window does not fit the input");
  }
  s.out_h = w.out_h, s.out_w = w.out_w;
  s.kernel_h = w.kernel_h, s.kernel_w = w.kernel_w;
  s.stride_h = w.stride_h, s.stride_w = w.stride_w;
  s.dilation_h = w.dilation_h, s.dilation_w = w.dilation_w;
  s.pad_top = w.pad_top, s.pad_left = w.pad_left;
  const int64_t out = static_cast<int64_t>(s.out_h) * s.out_w;
  const int64_t steps = static_cast<int64_t>(s.kernel_h) * s.kernel_w * s.words_in();
  if (out > 1 << 28 || out * s.batch > 1 << 28 || out * s.batch * s.channels_out > 1 << 29 ||
      steps * (s.channels_out + 64) > 1 << 29) {
    return p.fail(op, "an output of %d x %d x %d with %d channels is too large", s.batch, s.out_h,
                  s.out_w, s.channels_out);
  }
  return true;
}

// Fills scale and bias from the operator's own bias and the merged constants. A bias before a scale
// is scaled too.
bool make_channel_data(Partition& p, Op& op, WeightOnlyState& state) {
  const int outputs = state.shape.channels_out;
  if (!state.channel_data.reserve(2 * outputs * sizeof(float))) return p.fail(op, "out of memory");
  float* scale = state.channel_data.as<float>();
  float* bias = scale + outputs;
  const int values[] = {op.inputs[kBias], state.scale, state.add};
  const float* constants[3] = {};
  bool single[3] = {};
  for (int i = 0; i < 3; ++i) {
    if (values[i] < 0) continue;
    const Value& value = p.values[values[i]];
    const int64_t count = value.rank == 0 ? 1 : elements(value);
    single[i] = count == 1;
    constants[i] = static_cast<const float*>(p.constant(values[i], kTfLiteFloat32, count));
    if (constants[i] == nullptr || (count != 1 && count != outputs)) {
      return p.fail(op, "a bias or scale is no float32 constant of %d values", outputs);
    }
  }
  for (int o = 0; o < outputs; ++o) {
    const float before = constants[0] ? constants[0][single[0] ? 0 : o] : 0;
    scale[o] = constants[1] ? constants[1][single[1] ? 0 : o] : 1;
    bias[o] = before * scale[o] + (constants[2] ? constants[2][single[2] ? 0 : o] : 0);
  }
  return true;
}

// [rows, taps * depth] bits -> [rows, taps, depth] bits, each last dimension in whole words.
void unflatten(const uint32_t* flat, int rows, int taps, int depth, uint32_t* out) {
  const size_t from_words = b1::words_for(taps * depth), to_words = b1::words_for(depth);
  memset(out, 0, rows * taps * to_words * sizeof *out);
  for (int row = 0; row < rows; ++row, flat += from_words) {
    for (int tap = 0; tap < taps; ++tap, out += to_words) {
      for (int i = 0; i < depth; ++i) {
        const int bit = tap * depth + i;
        out[i / 32] |= (flat[bit / 32] >> (bit % 32) & 1) << (i % 32);
      }
    }
  }
}

bool prepare(Partition& p, Op& op) {
  WeightOnlyState& state = state_of(op);
  const b1::BconvShape& s = state.shape;
  if (!find_shape(p, op, state) || !make_channel_data(p, op, state)) return false;
  const Value in = p.values[op.inputs[kInput]];
  const Value packed = p.values[op.inputs[kWeights]];
  const uint32_t* filter =
      static_cast<const uint32_t*>(p.constant(op.inputs[kWeights], kTfLiteInt32, elements(packed)));
  if (filter == nullptr) return p.fail(op, "packed weights must be constant int32");
  Buffer unflattened;
  if (state.flat_filter >= 0) {
    const int taps = s.kernel_h * s.kernel_w;
    const int depth = state.depthwise ? s.channels_out : s.channels_in;
    const size_t words = static_cast<size_t>(packed.dims[0]) * taps * b1::words_for(depth);
    if (!unflattened.reserve(words * sizeof(uint32_t))) return p.fail(op, "out of memory");
    unflatten(filter, packed.dims[0], taps, depth, unflattened.as<uint32_t>());
    filter = unflattened.as<uint32_t>();
  }
  const Options& options = p.delegate->options;
  state.kernel = b1::choose_wconv_kernel(options.forced, options.isa);
  state.depthwise_kernel = b1::choose_wdepthwise_kernel(options.forced, options.isa);
  if (!state.depthwise && state.packed_for != state.kernel) {
    if (!state.filter.reserve(state.kernel->filter_words(s) * sizeof(uint32_t))) {
      return p.fail(op, "out of memory");
    }
    state.kernel->pack_filter(s, filter, state.filter.as<uint32_t>());
    state.packed_for = state.kernel;
  }
  if (state.depthwise) {
    if (!state.filter.reserve(state.depthwise_kernel->signs(s) * sizeof(float))) {
      return p.fail(op, "out of memory");
    }
    state.depthwise_kernel->expand_filter(s, filter, state.filter.as<float>());
  }
  int dims[Value::kMaxRank] = {s.batch, s.out_h, s.out_w, s.channels_out};
  int rank = 4;
  if (state.dense) {
    rank = state.keep_dims ? in.rank : 2;
    for (int i = 0; state.keep_dims && i + 1 < in.rank; ++i) dims[i] = in.dims[i];
    dims[rank - 1] = s.channels_out;
  }
  p.set_shape(op.outputs[0], rank, dims, kTfLiteFloat32);
  b1::WconvCall& call = state.call;
  call.shape = &s;
  call.filter = state.filter.as<uint32_t>();
  call.signs = state.filter.as<float>();
  call.scale = state.channel_data.as<float>();
  call.bias = call.scale + s.channels_out;
  activation_range(state.activation, &call.low, &call.high);
  op.kernel = state.depthwise ? state.depthwise_kernel->name : state.kernel->name;
  op.macs = static_cast<int64_t>(s.pixels()) * s.channels_out * s.kernel_h * s.kernel_w *
            (state.depthwise ? 1 : s.channels_in);
  return true;
}

void compute(void* context, int first, int last) {
  const WeightOnlyState& state = *static_cast<WeightOnlyState*>(context);
  if (state.depthwise) {
    state.depthwise_kernel->run(state.call, first, last);
  } else {
    state.kernel->run(state.call, first, last);
  }
}

void run(Partition& p, Op& op) {
  WeightOnlyState& state = state_of(op);
  const b1::BconvShape& s = state.shape;
  state.call.input = static_cast<const float*>(p.values[op.inputs[kInput]].data);
  state.call.out = static_cast<float*>(p.values[op.outputs[0]].data);
  p.delegate->pool.run(state.depthwise ? s.batch * s.out_h : state.kernel->items(s), compute,
                       &state);
}

}  // namespace

const OpType kWeightOnlyDense = {"FULLY_CONNECTED", parse, prepare, run,
                                 release_state<WeightOnlyState>};
const OpType kWeightOnlyConv = {"CONV_2D", parse, prepare, run, release_state<WeightOnlyState>};
const OpType kWeightOnlyDepthwise = {"DEPTHWISE_CONV_2D", parse, prepare, run,
                                     release_state<WeightOnlyState>};

}  // namespace onebit
