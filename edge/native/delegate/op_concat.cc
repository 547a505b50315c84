// CONCATENATION of floats along the channels, where a binary convolution makes one of them: a dense
// block. Inputs that were computed in their place of the result already (see plan.cc) cost nothing,
// so that a block's features are never copied.
#include <algorithm>

#include "op_types.h"

namespace onebit {
namespace {

const TfLiteConcatenationParams& params_of(const TfLiteNode& node) {
  return *static_cast<const TfLiteConcatenationParams*>(node.builtin_data);
}

bool supports(const TfLiteContext& context, const TfLiteNode& node) {
  const TfLiteTensor* out = tensor_at(context, node.outputs, 0);
  if (!node.builtin_data || !is_float(out) || node.inputs->size < 1 ||
      node.inputs->size > Op::kMaxInputs || params_of(node).activation != kTfLiteActNone) {
    return false;
  }
  for (int i = 0; i < node.inputs->size; ++i) {
    if (!is_float(tensor_at(context, node.inputs, i))) return false;
  }
  const int rank = out->dims->size, axis = params_of(node).axis;
  return rank > 0 && (axis == -1 || axis == rank - 1);
}

struct State {
  int axis;
  const b1::CopyKernel* kernel;
};

bool parse(Partition& p, Op& op, const TfLiteNode& node, const Claim&) {
  if (!make_state<State>(p, op)) return false;
  op.state_as<State>().axis = params_of(node).axis;
  return true;
}

bool infer(Partition& p, Op& op) {
  const Value first = p.values[op.inputs[0]];
  const int axis = op.state_as<State>().axis;
  if (first.rank < 1 || (axis >= 0 && axis != first.rank - 1)) {
    return p.fail(op, "joins its inputs along another dimension than the last");
  }
  int64_t sum = 0;
  for (const int input : op.inputs) {
    if (input < 0) continue;
    const Value& value = p.values[input];
    bool same = value.type == kTfLiteFloat32 && value.rank == first.rank && elements(value) >= 0;
    for (int i = 0; same && i + 1 < first.rank; ++i) same = value.dims[i] == first.dims[i];
    if (!same) return p.fail(op, "needs float32 inputs that differ in their channels only");
    sum += channels(value);
  }
  if (sum > INT32_MAX) return p.fail(op, "has too many channels");
  TensorInfo out = first;
  out.dims[first.rank - 1] = static_cast<int>(sum);
  if (elements(out) < 0) return p.fail(op, "its output is too large");
  p.set_shape(op.outputs[0], out.rank, out.dims, kTfLiteFloat32);
  return true;
}

bool prepare(Partition& p, Op& op) {
  State& state = op.state_as<State>();
  state.kernel = b1::choose_kernel<b1::CopyKernel>(p.delegate->options.isa);
  op.kernel = state.kernel->info.name;
  return true;
}

struct Job {
  const b1::CopyKernel* kernel;
  b1::CopyCall call;
};

void copy(void* context, int first, int last) {
  const Job& job = *static_cast<Job*>(context);
  job.kernel->run(job.call, first, last);
}

void run(Partition& p, Op& op) {
  const Value& out = p.values[op.outputs[0]];
  float* to = static_cast<float*>(out.data);
  for (const int input : op.inputs) {
    if (input < 0) continue;
    const Value& in = p.values[input];
    Job job = {op.state_as<State>().kernel,
               {static_cast<const float*>(in.data), to, static_cast<size_t>(in.row_stride),
                static_cast<size_t>(out.row_stride), channels(in)}};
    if (job.call.from != to && channels(in) > 0) {
      p.delegate->pool.run(static_cast<int>(rows(out)), copy, &job);
    }
    to += channels(in);
  }
}

}  // namespace

const OpType kConcat = {.name = "CONCATENATION",
                        .builtin = kTfLiteBuiltinConcatenation,
                        .supports = supports,
                        .parse = parse,
                        .infer = infer,
                        .prepare = prepare,
                        .run = run,
                        .reads_rows = true,
                        .writes_rows = true,
                        .gathers_inputs = true};

}  // namespace onebit
