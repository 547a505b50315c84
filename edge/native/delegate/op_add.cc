// ADD of two float tensors of the same shape, for those residual sums that could not be merged into
// a convolution; the LceQuantize that follows is merged as the second output.
#include <new>

#include "op_bconv.h"

namespace onebit {
namespace {

struct State {
  int activation;
  float low, high;
  const float *a, *b;
  float* sum;
  uint32_t* bits;
  int channels;
  const b1::PackKernel* pack;
};

bool parse(Partition& p, Op& op, const TfLiteNode& node) {
  State* state = new (calloc(1, sizeof(State))) State();
  op.state = state;
  if (node.inputs->size != 2 || node.outputs->size != 1 || node.builtin_data == nullptr) {
    return p.fail(op, "needs two inputs and one output");
  }
  state->activation = static_cast<const TfLiteElementwiseParams*>(node.builtin_data)->activation;
  return true;
}

bool prepare(Partition& p, Op& op) {
  State& state = *static_cast<State*>(op.state);
  const Value a = p.values[op.inputs[0]], b = p.values[op.inputs[1]];
  bool same = a.rank == b.rank && a.rank > 0 && a.type == kTfLiteFloat32 && b.type == a.type;
  for (int i = 0; same && i < a.rank; ++i) same = a.dims[i] == b.dims[i];
  if (!same || elements(a) < 0) return p.fail(op, "needs two float32 operands of one shape");
  p.set_shape(op.outputs[0], a.rank, a.dims, kTfLiteFloat32);
  int packed[Value::kMaxRank];
  for (int i = 0; i < a.rank; ++i) packed[i] = a.dims[i];
  packed[a.rank - 1] = b1::words_for(a.dims[a.rank - 1]);
  p.set_shape(op.outputs[1], a.rank, packed, kTfLiteInt32);
  activation_range(state.activation, &state.low, &state.high);
  state.channels = a.dims[a.rank - 1];
  state.pack = b1::choose_pack_kernel(p.delegate->options.forced, p.delegate->options.isa);
  op.kernel = "b1_add__scalar";
  return true;
}

void add_rows(void* context, int first, int last) {
  const State& s = *static_cast<State*>(context);
  for (int row = first; row < last; ++row) {
    const size_t at = static_cast<size_t>(row) * s.channels;
    for (int i = 0; i < s.channels; ++i) {
      float sum = s.a[at + i] + s.b[at + i];
      sum = sum < s.low ? s.low : sum;
      s.sum[at + i] = sum > s.high ? s.high : sum;
    }
    if (s.bits) {
      const size_t words = b1::words_for(s.channels);
      s.pack->pack_float(s.sum + at, 1, s.channels, s.bits + row * words);
    }
  }
}

void run(Partition& p, Op& op) {
  State& s = *static_cast<State*>(op.state);
  s.a = static_cast<const float*>(p.values[op.inputs[0]].data);
  s.b = static_cast<const float*>(p.values[op.inputs[1]].data);
  s.sum = static_cast<float*>(p.values[op.outputs[0]].data);
  s.bits = op.outputs[1] < 0 ? nullptr : static_cast<uint32_t*>(p.values[op.outputs[1]].data);
  p.delegate->pool.run(static_cast<int>(elements(p.values[op.inputs[0]]) / s.channels), add_rows,
                       &s);
}

void release(Op& op) { free(op.state); }

}  // namespace

const OpType kAdd = {"ADD", parse, prepare, run, release};

}  // namespace onebit
