// RESHAPE of an unpacked filter, for readers that could not take the packed constant instead.
#include "graph.h"

namespace onebit {
namespace {

bool parse(Partition& p, Op& op, const TfLiteNode&) {
  if (op.inputs[0] < 0 || op.outputs[0] < 0) return p.fail(op, "needs an input and an output");
  for (int i = 1; i < Op::kMaxInputs; ++i)
    op.inputs[i] = -1;  // the shape, which the output has already
  return true;
}

bool prepare(Partition& p, Op& op) {
  const Value in = p.values[op.inputs[0]], out = p.values[op.outputs[0]];
  if (in.type != kTfLiteFloat32 || out.type != in.type || elements(in) < 0 ||
      elements(in) != elements(out)) {
    return p.fail(op, "its output does not hold as many float32 values as its input");
  }
  op.kernel = "f32_copy__scalar";
  return true;
}

void run(Partition& p, Op& op) {
  const Value& in = p.values[op.inputs[0]];
  memcpy(p.values[op.outputs[0]].data, in.data, elements(in) * sizeof(float));
}

void release(Op&) {}

}  // namespace

const OpType kReshape = {"RESHAPE", parse, prepare, run, release};

}  // namespace onebit
