// LceQuantize: float32, int8 or bool values to bits along the last dimension, and LceDequantize
// back.
#include <algorithm>

#include "op_types.h"

namespace onebit {
namespace {

struct Quantizer {
  const b1::PackKernel* kernel;
  const void* from;
  uint32_t* to;
  int channels;
  ptrdiff_t stride;  // of rows of floats
  bool is_float;
  int32_t zero_point;
};

struct Dequantizer {
  const b1::UnpackKernel* kernel;
  const uint32_t* from;
  void* to;
  int channels;
  bool is_float;
  int8_t plus, minus;
};

template <class State>
bool parse(Partition& p, Op& op, const TfLiteNode& node, const Claim&) {
  if (node.inputs->size != 1 || node.outputs->size != 1 || op.node_inputs[0] < 0 ||
      op.node_output < 0) {
    return p.fail(op, "needs one input and one output, has %d and %d", node.inputs->size,
                  node.outputs->size);
  }
  return make_state<State>(p, op);
}

bool is_unpacked(TfLiteType type) {
  return type == kTfLiteFloat32 || type == kTfLiteInt8 || type == kTfLiteBool;
}

bool infer_quantize(Partition& p, Op& op) {
  const Value in = p.values[op.inputs[0]];
  const TfLiteType out_type = p.values[op.outputs[0]].type;
  if (!is_unpacked(in.type)) {
    return p.fail(op, "input is %s, not float32, int8 or bool", type_name(in.type));
  }
  if (out_type != kTfLiteInt32) return p.fail(op, "output is %s, not int32", type_name(out_type));
  if (in.rank < 1 || elements(in) < 0) return p.fail(op, "input has an unusable shape");
  TensorInfo out = in;
  out.dims[in.rank - 1] = b1::words_for(channels(in));
  p.set_shape(op.outputs[0], out.rank, out.dims, kTfLiteInt32);
  return true;
}

bool prepare_quantize(Partition& p, Op& op) {
  Quantizer& q = op.state_as<Quantizer>();
  const Value& in = p.values[op.inputs[0]];
  const Options& options = p.delegate->options;
  q.kernel = b1::choose_kernel<b1::PackKernel>(options.isa);
  q.channels = channels(in);
  q.is_float = in.type == kTfLiteFloat32;
  // A bool is 0 or 1 in memory: below 1 is negative.
  q.zero_point = in.type == kTfLiteBool ? 1 : p.tensor_of(op.inputs[0]).params.zero_point;
  op.kernel = q.kernel->info.name;
  return true;
}

void pack(void* context, int first, int last) {
  const Quantizer& q = *static_cast<Quantizer*>(context);
  uint32_t* to = q.to + static_cast<size_t>(first) * b1::words_for(q.channels);
  if (q.is_float) {
    q.kernel->pack_float(static_cast<const float*>(q.from) + first * q.stride, q.stride,
                         last - first, q.channels, to);
  } else {
    const size_t from = static_cast<size_t>(first) * q.channels;
    q.kernel->pack_int8(static_cast<const int8_t*>(q.from) + from, last - first, q.channels,
                        q.zero_point, to);
  }
}

void run_quantize(Partition& p, Op& op) {
  Quantizer& q = op.state_as<Quantizer>();
  const Value& in = p.values[op.inputs[0]];
  q.from = in.data;
  q.to = p.data<uint32_t>(op.outputs[0]);
  q.stride = in.row_stride;
  p.delegate->pool.run(static_cast<int>(rows(in)), pack, &q);
}

bool infer_dequantize(Partition& p, Op& op) {
  const Value in = p.values[op.inputs[0]], out = p.values[op.outputs[0]];
  if (in.type != kTfLiteInt32) return p.fail(op, "input is %s, not int32", type_name(in.type));
  if (!is_unpacked(out.type)) {
    return p.fail(op, "output is %s, not float32, int8 or bool", type_name(out.type));
  }
  if (in.rank < 1 || in.rank != out.rank || elements(in) < 0) {
    return p.fail(op, "input and output have unusable shapes");
  }
  // Words do not say how many of their bits are channels; only the file's output shape does.
  TensorInfo shape = in;
  shape.dims[in.rank - 1] = channels(out);
  if (channels(out) < 0 || elements(shape) < 0) {
    return p.fail(op, "output has an unusable shape");
  }
  if (b1::words_for(channels(out)) != channels(in)) {
    return p.fail(op, "%d channels do not fit %d words", channels(out), channels(in));
  }
  if (out.type == kTfLiteInt8 && !(p.tensor_of(op.outputs[0]).params.scale > 0)) {
    return p.fail(op, "int8 output needs a scale above zero");
  }
  p.set_shape(op.outputs[0], shape.rank, shape.dims, out.type);
  return true;
}

bool prepare_dequantize(Partition& p, Op& op) {
  Dequantizer& d = op.state_as<Dequantizer>();
  const Value& out = p.values[op.outputs[0]];
  const Options& options = p.delegate->options;
  d.kernel = b1::choose_kernel<b1::UnpackKernel>(options.isa);
  d.channels = channels(out);
  d.is_float = out.type == kTfLiteFloat32;
  d.plus = 1;
  d.minus = 0;  // bool
  if (out.type == kTfLiteInt8) {
    // ±1 in units of the output's scale, rounded half away from zero, around its zero point.
    const TfLiteQuantizationParams& q = p.tensor_of(op.outputs[0]).params;
    const float inverse = std::min(1.0f / q.scale, 1e6f);
    const int64_t one = (static_cast<int64_t>(2 * inverse) + 1) / 2;
    d.plus = static_cast<int8_t>(std::clamp<int64_t>(q.zero_point + one, INT8_MIN, INT8_MAX));
    d.minus = static_cast<int8_t>(std::clamp<int64_t>(q.zero_point - one, INT8_MIN, INT8_MAX));
  }
  op.kernel = d.kernel->info.name;
  return true;
}

void unpack(void* context, int first, int last) {
  const Dequantizer& d = *static_cast<Dequantizer*>(context);
  const uint32_t* from = d.from + static_cast<size_t>(first) * b1::words_for(d.channels);
  const size_t to = static_cast<size_t>(first) * d.channels;
  if (d.is_float) {
    d.kernel->to_floats(from, last - first, d.channels, static_cast<float*>(d.to) + to);
  } else {
    d.kernel->to_bytes(from, last - first, d.channels, d.plus, d.minus,
                       static_cast<int8_t*>(d.to) + to);
  }
}

void run_dequantize(Partition& p, Op& op) {
  Dequantizer& d = op.state_as<Dequantizer>();
  d.from = p.data<uint32_t>(op.inputs[0]);
  d.to = p.data<void>(op.outputs[0]);
  p.delegate->pool.run(static_cast<int>(rows(p.values[op.outputs[0]])), unpack, &d);
}

}  // namespace

const OpType kQuantize = {.name = "LceQuantize",
                          .parse = parse<Quantizer>,
                          .infer = infer_quantize,
                          .prepare = prepare_quantize,
                          .run = run_quantize,
                          .reads_rows = true};

const OpType kDequantize = {.name = "LceDequantize",
                            .parse = parse<Dequantizer>,
                            .infer = infer_dequantize,
                            .prepare = prepare_dequantize,
                            .run = run_dequantize};

}  // namespace onebit
