#include "op_elementwise.h"

#include <algorithm>

#include "op_types.h"

namespace onebit {
namespace {

struct State {
  bool multiplies;
  bool only_signs;   // of a * scale + offset, which the packing kernel computes itself
  Buffer constants;  // scale, then offset: a value for each channel
  const b1::ElementwiseKernel* kernel;
  const b1::PackKernel* pack;
  b1::ElementwiseCall call;
};

const TfLiteElementwiseParams& params_of(const TfLiteNode& node) {
  return *static_cast<const TfLiteElementwiseParams*>(node.builtin_data);
}

bool supports(const TfLiteContext& context, const TfLiteNode& node) {
  return node.builtin_data && node.inputs->size == 2 &&
         known_activation(params_of(node).activation) &&
         is_float(tensor_at(context, node.inputs, 0)) &&
         is_float(tensor_at(context, node.inputs, 1)) &&
         is_float(tensor_at(context, node.outputs, 0));
}

int activation(const TfLiteNode& node) { return params_of(node).activation; }

bool parse(Partition& p, Op& op, const TfLiteNode&, const Claim&) {
  return make_state<State>(p, op);
}

// The dimensions of the result; false if the operands do not fit.
bool broadcast(const TensorInfo& a, const TensorInfo& b, TensorInfo* out) {
  out->rank = std::max(a.rank, b.rank);
  for (int i = 1; i <= out->rank; ++i) {  // from the last one
    const int in_a = i <= a.rank ? a.dims[a.rank - i] : 1;
    const int in_b = i <= b.rank ? b.dims[b.rank - i] : 1;
    if (in_a != in_b && in_a != 1 && in_b != 1) return false;
    out->dims[out->rank - i] = in_a == 1 ? in_b : in_a;
  }
  return true;
}

bool is_channel_constant(Partition& p, const Op& op, int side, const TensorInfo& out) {
  const Value &constant = p.values[op.inputs[side]], &other = p.values[op.inputs[1 - side]];
  if (!is_constant(p.tensor_of(op.inputs[side])) || is_constant(p.tensor_of(op.inputs[1 - side]))) {
    return false;
  }
  // With the other operand's shape as the result's, only the channels can be more than one.
  const int64_t count = elements(constant);
  return same_dims(other, out) && out.rank > 0 &&
         (count == 1 || (count == channels(constant) && count == channels(out)));
}

bool infer(Partition& p, Op& op) {
  const Value a = p.values[op.inputs[0]], b = p.values[op.inputs[1]];
  if (a.type != kTfLiteFloat32 || b.type != kTfLiteFloat32 || elements(a) < 0 || elements(b) < 0) {
    return p.fail(op, "needs float32 operands");
  }
  TensorInfo out;
  if (!broadcast(a, b, &out) || elements(out) < 0) {
    return p.fail(op, "its operands have shapes that do not fit each other");
  }
  p.set_shape(op.outputs[0], out.rank, out.dims, kTfLiteFloat32);
  op.channel_constant = -1;
  for (int side = 0; side < 2; ++side) {
    if (is_channel_constant(p, op, side, out)) op.channel_constant = side;
  }
  if (op.channel_constant < 0) op.merges &= ~kTakesOffset;
  return true;
}

// The constants as a scale and an offset.
bool make_constants(Partition& p, Op& op, State& state, int channels) {
  if (!state.constants.reserve(2 * static_cast<uint64_t>(channels), sizeof(float))) {
    return p.out_of_memory(op);
  }
  float *scale = state.constants.as<float>(), *offset = scale + channels;
  std::fill_n(scale, channels, 1.0f);
  std::fill_n(offset, channels, 0.0f);
  const int constant = op.inputs[op.channel_constant];
  return copy_channel_constant(p, op, constant, channels, state.multiplies ? scale : offset) &&
         (op.offset < 0 || copy_channel_constant(p, op, op.offset, channels, offset));
}

bool prepare(Partition& p, Op& op) {
  State& state = op.state_as<State>();
  state.multiplies = op.type == &kMul;
  const Options& options = p.delegate->options;
  // Merged signs have the shape of the result but for the channels, which an operand has.
  TensorInfo out;
  broadcast(p.values[op.inputs[0]], p.values[op.inputs[1]], &out);
  state.call = {};
  state.call.rank = std::max(out.rank - 1, 0);
  std::copy_n(out.dims, state.call.rank, state.call.dims);
  state.call.channels = channels(out);
  if (op.channel_constant >= 0 && !make_constants(p, op, state, state.call.channels)) return false;
  const int last = op.offset >= 0 ? op.merged_activation : op.activation;
  activation_range(last, &state.call.low, &state.call.high);
  state.only_signs = op.channel_constant >= 0 && op.outputs[0] < 0 && last == kTfLiteActNone;
  state.pack = b1::choose_kernel<b1::PackKernel>(options.isa);
  state.kernel = b1::choose_kernel<b1::ElementwiseKernel>(options.isa);
  op.kernel = state.only_signs ? state.pack->info.name : state.kernel->info.name;
  return true;
}

// How the rows of an operand lie, which the plan of the memory decided.
b1::ElementwiseOperand operand_of(const Value& value, const b1::ElementwiseCall& call) {
  b1::ElementwiseOperand operand = {};
  operand.data = static_cast<const float*>(value.data);
  operand.one_channel = channels(value) == 1;
  ptrdiff_t step = value.row_stride;
  for (int i = 1; i < value.rank && i <= call.rank; ++i) {  // from the last leading dimension
    const int size = value.dims[value.rank - 1 - i];
    operand.steps[call.rank - i] = size == 1 ? 0 : step;
    step *= size;
  }
  return operand;
}

void compute(void* context, int first, int last) {
  const State& s = *static_cast<State*>(context);
  if (s.only_signs) {
    const float* scale = s.constants.as<float>();
    const ptrdiff_t stride = s.call.a.steps[0];
    const size_t words = b1::words_for(s.call.channels);
    s.pack->pack_affine(s.call.a.data + first * stride, stride, last - first, s.call.channels,
                        scale, scale + s.call.channels, s.call.bits + first * words);
    return;
  }
  (s.multiplies ? s.kernel->multiply : s.kernel->add)(s.call, first, last);
}

void run(Partition& p, Op& op) {
  State& s = op.state_as<State>();
  b1::ElementwiseCall& call = s.call;
  call.out = p.data<float>(op.outputs[0]);
  call.bits = p.data<uint32_t>(op.outputs[1]);
  call.pack = s.pack;
  int64_t count = 1;
  for (int i = 0; i < call.rank; ++i) count *= call.dims[i];
  if (op.channel_constant < 0) {
    call.a = operand_of(p.values[op.inputs[0]], call);
    call.b = operand_of(p.values[op.inputs[1]], call);
  } else {
    const float *scale = s.constants.as<float>(), *offset = scale + call.channels;
    const Value& a = p.values[op.inputs[1 - op.channel_constant]];
    // All leading dimensions are one: rows lie at one distance.
    call.rank = 1;
    call.dims[0] = static_cast<int>(count);
    call.a = {static_cast<const float*>(a.data), {a.row_stride}, false};
    call.b = {s.multiplies ? scale : offset, {0}, false};
    call.offset = op.offset < 0 ? nullptr : offset;
  }
  p.delegate->pool.run(static_cast<int>(count), compute, &s);
}

size_t constant_bytes(const Op& op) { return op.state_as<State>().constants.size(); }

}  // namespace

void activation_range(int activation, float* low, float* high) {
  constexpr float kInfinity = __builtin_inff();
  *low = activation == kTfLiteActNone ? -kInfinity : activation == kTfLiteActReluN1To1 ? -1 : 0;
  *high = activation == kTfLiteActReluN1To1 ? 1 : activation == kTfLiteActRelu6 ? 6 : kInfinity;
}

bool copy_channel_constant(Partition& p, Op& op, int value, int channels, float* to) {
  const int64_t count = p.constant_size(value);
  const float* from = static_cast<const float*>(p.constant(value, kTfLiteFloat32, count));
  if (from == nullptr || (count != 1 && count != channels)) {
    return p.fail(op, "its constant has %lld values for %d channels", static_cast<long long>(count),
                  channels);
  }
  for (int i = 0; i < channels; ++i) to[i] = from[count == 1 ? 0 : i];
  return true;
}

bool is_channel_constant(const TfLiteContext& context, const TfLiteNode& node, int side) {
  const TfLiteTensor& c = context.tensors[node.inputs->data[side]];
  const TfLiteTensor& x = context.tensors[node.inputs->data[1 - side]];
  if (!is_constant(c) || is_constant(x) || x.dims->size < 1 || c.dims->size > x.dims->size) {
    return false;
  }
  const int channels = x.dims->data[x.dims->size - 1];
  for (int i = 0; i < c.dims->size; ++i) {
    const bool last = i + 1 == c.dims->size;
    if (c.dims->data[i] != 1 && !(last && c.dims->data[i] == channels)) return false;
  }
  return channels > 0;
}

namespace {

constexpr OpType elementwise(const char* name, int builtin, unsigned merges) {
  return {.name = name,
          .builtin = builtin,
          .supports = supports,
          .activation = activation,
          .parse = parse,
          .infer = infer,
          .prepare = prepare,
          .run = run,
          .constant_bytes = constant_bytes,
          .reads_rows = true,
          .merges = merges};
}

}  // namespace

const OpType kAdd = elementwise("ADD", kTfLiteBuiltinAdd, kEmitsBits);
const OpType kMul = elementwise("MUL", kTfLiteBuiltinMul, kEmitsBits | kTakesOffset);

}  // namespace onebit
