// CONCATENATION of floats along the channels, where a binary convolution makes one of them: a dense
// block. Inputs that were computed in their place of the result already (see partition.cc) cost
// nothing, so that a block's features are never copied.
#include "graph.h"

namespace onebit {
namespace {

// Copies rows of one input.
struct CopyJob {
  const float* from;
  float* to;
  int from_stride, to_stride, channels;
};

bool parse(Partition& p, Op& op, const TfLiteNode& node) {
  if (node.inputs->size > Op::kMaxInputs || op.inputs[0] < 0 || op.outputs[0] < 0) {
    return p.fail(op, "needs 1 to %d inputs and one output", Op::kMaxInputs);
  }
  return true;
}

bool prepare(Partition& p, Op& op) {
  const Value first = p.values[op.inputs[0]];
  int dims[Value::kMaxRank], channels = 0;
  if (first.rank < 1) return p.fail(op, "its input has an unusable shape");
  for (int input : op.inputs) {
    if (input < 0) continue;
    const Value& value = p.values[input];
    bool same = value.type == kTfLiteFloat32 && value.rank == first.rank && elements(value) > 0;
    for (int i = 0; same && i + 1 < first.rank; ++i) same = value.dims[i] == first.dims[i];
    if (!same) return p.fail(op, "needs float32 inputs that differ in their channels alone");
    channels += value.dims[value.rank - 1];
    if (channels > 1 << 24) return p.fail(op, "has too many channels");
  }
  for (int i = 0; i < first.rank; ++i) dims[i] = first.dims[i];
  dims[first.rank - 1] = channels;
  p.set_shape(op.outputs[0], first.rank, dims, kTfLiteFloat32);
  if (elements(p.values[op.outputs[0]]) < 0) return p.fail(op, "its output is too large");
  op.kernel = "f32_copy__scalar";
  return true;
}

void copy_rows(void* context, int first, int last) {
  const CopyJob& job = *static_cast<CopyJob*>(context);
  for (size_t row = first; row < static_cast<size_t>(last); ++row) {
    memcpy(job.to + row * job.to_stride, job.from + row * job.from_stride,
           job.channels * sizeof(float));
  }
}

void run(Partition& p, Op& op) {
  const Value& out = p.values[op.outputs[0]];
  const int rows = static_cast<int>(elements(out) / out.dims[out.rank - 1]);
  float* to = static_cast<float*>(out.data);
  for (int input : op.inputs) {
    if (input < 0) continue;
    const Value& in = p.values[input];
    CopyJob job = {static_cast<const float*>(in.data), to, in.row_stride, out.row_stride,
                   in.dims[in.rank - 1]};
    if (job.from != job.to) p.delegate->pool.run(rows, copy_rows, &job);
    to += job.channels;
  }
}

void release(Op&) {}

}  // namespace

const OpType kConcat = {"CONCATENATION", parse, prepare, run, release};

}  // namespace onebit
