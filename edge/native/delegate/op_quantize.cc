// LceQuantize: float32, int8 or bool values to bits along the last dimension, and LceDequantize
// back.
#include "graph.h"

namespace onebit {
namespace {

struct RowJob {
  const void* from;
  void* to;
  int channels;
  size_t stride;  // of rows of floats
  bool is_float;
  int32_t zero_point;
  int8_t plus, minus;
  const b1::PackKernel* kernel;
};

bool check_ends(Partition& p, Op& op, const TfLiteNode& node) {
  if (node.inputs->size != 1 || node.outputs->size != 1 || op.inputs[0] < 0 || op.outputs[0] < 0) {
    return p.fail(op, "needs one input and one output, has %d and %d", node.inputs->size,
                  node.outputs->size);
  }
  return true;
}

bool is_unpacked(TfLiteType type) {
  return type == kTfLiteFloat32 || type == kTfLiteInt8 || type == kTfLiteBool;
}

bool prepare_quantize(Partition& p, Op& op) {
  const Value in = p.values[op.inputs[0]];
  const TfLiteType out_type = p.values[op.outputs[0]].type;
  if (!is_unpacked(in.type)) {
    return p.fail(op, "input is %s, not float32, int8 or bool", type_name(in.type));
  }
  if (out_type != kTfLiteInt32) return p.fail(op, "output is %s, not int32", type_name(out_type));
  if (in.rank < 1 || elements(in) < 0) return p.fail(op, "input has an unusable shape");
  int dims[Value::kMaxRank];
  for (int i = 0; i < in.rank; ++i) dims[i] = in.dims[i];
  dims[in.rank - 1] = b1::words_for(dims[in.rank - 1]);
  p.set_shape(op.outputs[0], in.rank, dims, kTfLiteInt32);
  op.kernel = b1::choose_pack_kernel(p.delegate->options.forced, p.delegate->options.isa)->name;
  return true;
}

void pack_rows(void* context, int first, int last) {
  const RowJob& job = *static_cast<RowJob*>(context);
  uint32_t* to =
      static_cast<uint32_t*>(job.to) + static_cast<size_t>(first) * b1::words_for(job.channels);
  if (job.is_float) {
    job.kernel->pack_float(static_cast<const float*>(job.from) + first * job.stride, job.stride,
                           last - first, job.channels, to);
  } else {
    const size_t from = static_cast<size_t>(first) * job.channels;
    job.kernel->pack_int8(static_cast<const int8_t*>(job.from) + from, last - first, job.channels,
                          job.zero_point, to);
  }
}

void run_quantize(Partition& p, Op& op) {
  const Value& in = p.values[op.inputs[0]];
  RowJob job = {};
  job.from = in.data;
  job.to = p.values[op.outputs[0]].data;
  job.channels = in.dims[in.rank - 1];
  job.stride = in.row_stride;
  job.kernel = b1::choose_pack_kernel(p.delegate->options.forced, p.delegate->options.isa);
  // A bool is 0 or 1 in memory: below 1 is negative.
  job.is_float = in.type == kTfLiteFloat32;
  job.zero_point = in.type == kTfLiteBool ? 1 : p.tensor_of(op.inputs[0]).params.zero_point;
  p.delegate->pool.run(static_cast<int>(elements(in) / job.channels), pack_rows, &job);
}

bool prepare_dequantize(Partition& p, Op& op) {
  const Value in = p.values[op.inputs[0]], out = p.values[op.outputs[0]];
  if (in.type != kTfLiteInt32) return p.fail(op, "input is %s, not int32", type_name(in.type));
  if (!is_unpacked(out.type)) {
    return p.fail(op, "output is %s, not float32, int8 or bool", type_name(out.type));
  }
  if (in.rank < 1 || in.rank != out.rank || elements(in) < 0) {
    return p.fail(op, "input and output have unusable shapes");
  }
  // Words do not tell how many of their bits are channels; only the file's output shape does.
  int dims[Value::kMaxRank];
  for (int i = 0; i < in.rank; ++i) dims[i] = in.dims[i];
  const int channels = out.dims[out.rank - 1];
  if (channels < 1 || b1::words_for(channels) != in.dims[in.rank - 1]) {
    return p.fail(op, "%d channels do not fit %d words", channels, in.dims[in.rank - 1]);
  }
  dims[in.rank - 1] = channels;
  p.set_shape(op.outputs[0], in.rank, dims, out.type);
  if (elements(p.values[op.outputs[0]]) < 0) return p.fail(op, "output has an unusable shape");
  if (out.type == kTfLiteInt8 && !(p.tensor_of(op.outputs[0]).params.scale > 0)) {
    return p.fail(op, "int8 output needs a scale above zero");
  }
  op.kernel = "b1_dequantize__scalar";
  return true;
}

template <class T>
void unpack(const RowJob& job, int first, int last, T plus, T minus) {
  const int words = b1::words_for(job.channels);
  const uint32_t* from =
      static_cast<const uint32_t*>(job.from) + static_cast<size_t>(first) * words;
  T* to = static_cast<T*>(job.to) + static_cast<size_t>(first) * job.channels;
  for (int row = first; row < last; ++row, from += words) {
    for (int c = 0; c < job.channels; ++c) *to++ = from[c / 32] >> (c % 32) & 1 ? minus : plus;
  }
}

void unpack_floats(void* context, int first, int last) {
  unpack<float>(*static_cast<RowJob*>(context), first, last, 1.0f, -1.0f);
}

void unpack_bytes(void* context, int first, int last) {
  const RowJob& job = *static_cast<RowJob*>(context);
  unpack<int8_t>(job, first, last, job.plus, job.minus);
}

void run_dequantize(Partition& p, Op& op) {
  const Value &in = p.values[op.inputs[0]], &out = p.values[op.outputs[0]];
  RowJob job = {};
  job.from = in.data;
  job.to = out.data;
  job.channels = out.dims[out.rank - 1];
  job.plus = 1;
  job.minus = 0;  // bool
  if (out.type == kTfLiteInt8) {
    // ±1 in units of the output's scale, rounded half away from zero, around its zero point.
    const TfLiteQuantizationParams& q = p.tensor_of(op.outputs[0]).params;
    const float inverse = 1.0f / q.scale;
    const int64_t one = inverse < 1e6f ? static_cast<int64_t>(inverse + 0.5f) : 1000000;
    const int64_t plus = q.zero_point + one, minus = q.zero_point - one;
    job.plus = static_cast<int8_t>(plus > 127 ? 127 : plus);
    job.minus = static_cast<int8_t>(minus < -128 ? -128 : minus);
  }
  const int rows = static_cast<int>(elements(out) / job.channels);
  p.delegate->pool.run(rows, out.type == kTfLiteFloat32 ? unpack_floats : unpack_bytes, &job);
}

void release(Op&) {}

}  // namespace

const OpType kQuantize = {"LceQuantize", check_ends, prepare_quantize, run_quantize, release};
const OpType kDequantize = {"LceDequantize", check_ends, prepare_dequantize, run_dequantize,
                            release};

}  // namespace onebit
