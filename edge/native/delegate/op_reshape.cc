// RESHAPE of an unpacked filter, for readers that could not take the packed constant instead.
#include "op_types.h"

namespace onebit {
namespace {

// [O, K] -> [O, KH, KW, C], floats, the shape being a constant of the file.
bool supports(const TfLiteContext& context, const TfLiteNode& node) {
  const TfLiteTensor* in = tensor_at(context, node.inputs, 0);
  const TfLiteTensor* shape = tensor_at(context, node.inputs, 1);
  const TfLiteTensor* out = tensor_at(context, node.outputs, 0);
  if (!is_float(in) || !is_float(out) || in->dims->size != 2 || out->dims->size != 4 || !shape ||
      shape->type != kTfLiteInt32 || !is_constant(*shape) || shape->bytes != 4 * sizeof(int32_t) ||
      in->dims->data[0] != out->dims->data[0]) {
    return false;
  }
  int64_t count = 1;
  const int32_t* dims = static_cast<const int32_t*>(shape->data);
  for (int i = 0; i < 4; ++i) {
    if (dims[i] != out->dims->data[i] || dims[i] < 1) return false;
    count *= dims[i];
    if (count > INT32_MAX) return false;
  }
  return count == static_cast<int64_t>(in->dims->data[0]) * in->dims->data[1];
}

struct State {
  const b1::CopyKernel* kernel;
};

bool parse(Partition& p, Op& op, const TfLiteNode&, const Claim&) {
  op.node_inputs[1] = -1;  // the shape, which the output has already
  return make_state<State>(p, op);
}

bool infer(Partition& p, Op& op) {
  const Value &in = p.values[op.inputs[0]], &out = p.values[op.outputs[0]];
  if (in.type != kTfLiteFloat32 || out.type != in.type || elements(in) < 0 ||
      elements(in) != elements(out)) {
    return p.fail(op, "its output does not hold as many float32 values as its input");
  }
  return true;
}

bool prepare(Partition& p, Op& op) {
  State& state = op.state_as<State>();
  state.kernel = b1::choose_kernel<b1::CopyKernel>(p.delegate->options.isa);
  op.kernel = state.kernel->info.name;
  return true;
}

void run(Partition& p, Op& op) {
  const Value &in = p.values[op.inputs[0]], &out = p.values[op.outputs[0]];
  const int depth = channels(in);
  const size_t stride = static_cast<size_t>(depth);
  op.state_as<State>().kernel->run(
      {static_cast<const float*>(in.data), static_cast<float*>(out.data), stride, stride, depth}, 0,
      static_cast<int>(rows(in)));
}

}  // namespace

const OpType kReshape = {.name = "RESHAPE",
                         .builtin = kTfLiteBuiltinReshape,
                         .supports = supports,
                         .parse = parse,
                         .infer = infer,
                         .prepare = prepare,
                         .run = run};

}  // namespace onebit
