#include "op_elementwise.h"

namespace onebit {
namespace {

constexpr float kInfinity = __builtin_inff();
constexpr int kTile = 256;  // values that stay in the first-level cache between sum and packing

ElementwiseState& state_of(Op& op) { return *static_cast<ElementwiseState*>(op.state); }

bool parse(Partition& p, Op& op, const TfLiteNode& node) {
  ElementwiseState* state = make_state<ElementwiseState>(op);
  if (node.inputs->size != 2 || node.outputs->size != 1 || node.builtin_data == nullptr) {
    return p.fail(op, "needs two inputs and one output");
  }
  state->activation = static_cast<const TfLiteElementwiseParams*>(node.builtin_data)->activation;
  state->constant = state->add = -1;
  for (int side = 0; side < 2; ++side) {
    if (p.tensor_of(op.inputs[side]).allocation_type == kTfLiteMmapRo) state->constant = side;
  }
  return true;
}

// The constants as a scale and an offset.
bool make_constants(Partition& p, Op& op, ElementwiseState& state) {
  const int channels = state.channels;
  if (!state.constants.reserve(2 * channels * sizeof(float))) return p.fail(op, "out of memory");
  float *scale = state.constants.as<float>(), *offset = scale + channels;
  for (int i = 0; i < channels; ++i) scale[i] = 1, offset[i] = 0;
  const bool multiplies = op.type == &kMul;
  if (!copy_channel_constant(p, op, op.inputs[state.constant], channels,
                             multiplies ? scale : offset)) {
    return false;
  }
  return state.add < 0 || copy_channel_constant(p, op, state.add, channels, offset);
}

bool prepare(Partition& p, Op& op) {
  ElementwiseState& state = state_of(op);
  const int main = state.constant == 0 ? 1 : 0;
  const Value a = p.values[op.inputs[main]], b = p.values[op.inputs[1 - main]];
  if (a.type != kTfLiteFloat32 || b.type != kTfLiteFloat32 || a.rank < 1 || elements(a) < 0) {
    return p.fail(op, "needs float32 operands");
  }
  state.channels = a.dims[a.rank - 1];
  state.same_b = state.constant < 0;
  bool same = a.rank == b.rank;
  for (int i = 0; same && i < a.rank; ++i) same = a.dims[i] == b.dims[i];
  if (state.same_b && !same) return p.fail(op, "needs two operands of one shape");
  if (!state.same_b && !make_constants(p, op, state)) return false;
  if (op.outputs[0] >= 0) p.set_shape(op.outputs[0], a.rank, a.dims, kTfLiteFloat32);
  int packed[Value::kMaxRank];
  for (int i = 0; i < a.rank; ++i) packed[i] = a.dims[i];
  packed[a.rank - 1] = b1::words_for(state.channels);
  p.set_shape(op.outputs[1], a.rank, packed, kTfLiteInt32);
  activation_range(state.activation, &state.low, &state.high);
  state.affine = !state.same_b && op.outputs[0] < 0 && state.activation == kTfLiteActNone;
  state.pack = b1::choose_pack_kernel(p.delegate->options.forced, p.delegate->options.isa);
  op.kernel = state.affine       ? state.pack->name
              : op.type == &kMul ? "b1_mul__scalar"
                                 : "b1_add__scalar";
  return true;
}

// `c`: what is added to a product, or nullptr.
template <bool kMultiply>
void compute(const ElementwiseState& s, const float* a, const float* b, const float* c, int count,
             float* out) {
  for (int i = 0; i < count; ++i) {
    float value = kMultiply ? a[i] * b[i] : a[i] + b[i];
    if (c) value = value + c[i];
    value = value < s.low ? s.low : value;
    out[i] = value > s.high ? s.high : value;
  }
}

// Rows of channels, in tiles that are packed while they are still in the cache.
template <bool kMultiply>
void rows(void* context, int first, int last) {
  const ElementwiseState& s = *static_cast<ElementwiseState*>(context);
  const size_t words = b1::words_for(s.channels);
  const float *scale = s.constants.as<float>(), *offset = scale + s.channels;
  if (s.affine) {
    s.pack->pack_affine(s.a + first * s.stride, s.stride, last - first, s.channels, scale, offset,
                        s.bits + first * words);
    return;
  }
  const float* sums = s.add < 0 ? nullptr : offset;
  for (int row = first; row < last; ++row) {
    const size_t at = static_cast<size_t>(row) * s.channels;
    const float* b = s.same_b ? s.b + at : kMultiply ? scale : offset;
    for (int c = 0; c < s.channels; c += kTile) {
      const int count = s.channels - c < kTile ? s.channels - c : kTile;
      float tile[kTile];
      float* out = s.out ? s.out + at + c : tile;
      compute<kMultiply>(s, s.a + row * s.stride + c, b + c, sums ? sums + c : nullptr, count, out);
      if (s.bits) s.pack->pack_float(out, count, 1, count, s.bits + row * words + c / 32);
    }
  }
}

template <class T>
T* data_of(Partition& p, int value) {
  return value < 0 ? nullptr : static_cast<T*>(p.values[value].data);
}

void run(Partition& p, Op& op, Work work) {
  ElementwiseState& s = state_of(op);
  const int main = s.constant == 0 ? 1 : 0;
  s.a = data_of<float>(p, op.inputs[main]);
  s.stride = p.values[op.inputs[main]].row_stride;
  s.b = s.same_b ? data_of<float>(p, op.inputs[1 - main]) : nullptr;
  s.out = data_of<float>(p, op.outputs[0]);
  s.bits = data_of<uint32_t>(p, op.outputs[1]);
  p.delegate->pool.run(static_cast<int>(elements(p.values[op.inputs[main]]) / s.channels), work,
                       &s);
}

void run_add(Partition& p, Op& op) { run(p, op, rows<false>); }
void run_mul(Partition& p, Op& op) { run(p, op, rows<true>); }

}  // namespace

void activation_range(int activation, float* low, float* high) {
  *low = activation == kTfLiteActNone ? -kInfinity : activation == kTfLiteActReluN1To1 ? -1 : 0;
  *high = activation == kTfLiteActReluN1To1 ? 1 : activation == kTfLiteActRelu6 ? 6 : kInfinity;
}

bool copy_channel_constant(Partition& p, Op& op, int value, int channels, float* to) {
  const int64_t count = p.values[value].rank == 0 ? 1 : elements(p.values[value]);
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
  if (c.allocation_type != kTfLiteMmapRo || c.data == nullptr || !c.dims || !x.dims ||
      x.allocation_type == kTfLiteMmapRo || x.dims->size < 1 || c.dims->size > x.dims->size) {
    return false;
  }
  const int channels = x.dims->data[x.dims->size - 1];
  int64_t count = 1;
  for (int i = 0; i < c.dims->size; ++i) {
    const bool last = i + 1 == c.dims->size;
    if (c.dims->data[i] != 1 && !(last && c.dims->data[i] == channels)) return false;
    count *= c.dims->data[i];
  }
  return channels > 0 && c.bytes >= count * sizeof(float);
}

const OpType kAdd = {"ADD", parse, prepare, run_add, release_state<ElementwiseState>};
const OpType kMul = {"MUL", parse, prepare, run_mul, release_state<ElementwiseState>};

}  // namespace onebit
