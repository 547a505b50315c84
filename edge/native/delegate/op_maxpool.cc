// MAX_POOL_2D of floats beside binary layers: it normalises its inputs where a batch normalisation
// came before it, and packs its outputs where their signs are read.
#include "geometry.h"
#include "op_elementwise.h"
#include "op_types.h"

namespace onebit {
namespace {

struct State {
  bool same;
  Window window;
  b1::MaxPoolShape shape;
  b1::MaxPoolCall call;
  Buffer constants;  // scale, then offset
  const b1::MaxPoolKernel* kernel;
  const b1::PackKernel* pack;
  uint32_t* bits;
};

const TfLitePoolParams& params_of(const TfLiteNode& node) {
  return *static_cast<const TfLitePoolParams*>(node.builtin_data);
}

bool supports(const TfLiteContext& context, const TfLiteNode& node) {
  if (!node.builtin_data || node.inputs->size != 1) return false;
  const TfLiteTensor* in = tensor_at(context, node.inputs, 0);
  const TfLitePoolParams& params = params_of(node);
  return is_float(in) && is_float(tensor_at(context, node.outputs, 0)) && in->dims->size == 4 &&
         known_activation(params.activation) &&
         (params.padding == kTfLitePaddingSame || params.padding == kTfLitePaddingValid);
}

int activation(const TfLiteNode& node) { return params_of(node).activation; }

bool parse(Partition& p, Op& op, const TfLiteNode& node, const Claim&) {
  if (!make_state<State>(p, op)) return false;
  State& state = op.state_as<State>();
  const TfLitePoolParams& params = params_of(node);
  Window& w = state.window;
  w.kernel_h = params.filter_height;
  w.kernel_w = params.filter_width;
  w.stride_h = params.stride_height;
  w.stride_w = params.stride_width;
  w.dilation_h = w.dilation_w = 1;
  for (const int size : {w.kernel_h, w.kernel_w, w.stride_h, w.stride_w}) {
    if (size < 1 || size > kMaxWindow) {
      return p.fail(op, "its window and strides must be 1 to %d, one is %d", kMaxWindow, size);
    }
  }
  state.same = params.padding == kTfLitePaddingSame;
  return true;
}

bool infer(Partition& p, Op& op) {
  State& state = op.state_as<State>();
  const Value in = p.values[op.inputs[0]];
  if (in.type != kTfLiteFloat32 || in.rank != 4 || elements(in) < 0) {
    return p.fail(op, "its input must be float32 [N, H, W, C]");
  }
  Window& w = state.window;
  if (!w.place(in.dims[1], in.dims[2], state.same)) {
    return p.fail(op, "a window of %d x %d does not fit an input of %d x %d", w.kernel_h,
                  w.kernel_w, in.dims[1], in.dims[2]);
  }
  state.shape = {in.dims[1], in.dims[2], in.dims[3], w.kernel_h, w.kernel_w, w.stride_h,
                 w.stride_w, w.pad_top,  w.pad_left, w.out_h,    w.out_w};
  const int dims[] = {in.dims[0], w.out_h, w.out_w, in.dims[3]};
  p.set_shape(op.outputs[0], 4, dims, kTfLiteFloat32);
  return true;
}

bool prepare(Partition& p, Op& op) {
  State& state = op.state_as<State>();
  const int channels = state.shape.channels;
  state.call = {};
  state.call.shape = &state.shape;
  activation_range(op.activation, &state.call.low, &state.call.high);
  if (!state.constants.reserve(2 * static_cast<uint64_t>(channels), sizeof(float))) {
    return p.out_of_memory(op);
  }
  float *scale = state.constants.as<float>(), *offset = scale + channels;
  if (op.scale >= 0) {
    if (!copy_channel_constant(p, op, op.scale, channels, scale)) return false;
    state.call.scale = scale;
  }
  if (op.offset >= 0) {
    if (!copy_channel_constant(p, op, op.offset, channels, offset)) return false;
    state.call.offset = offset;
  }
  const Options& options = p.delegate->options;
  state.kernel = b1::choose_kernel<b1::MaxPoolKernel>(options.isa);
  state.pack = b1::choose_kernel<b1::PackKernel>(options.isa);
  op.kernel = state.kernel->info.name;
  return true;
}

// A row of the output is packed while it is still in the cache.
void compute(void* context, int first, int last) {
  const State& s = *static_cast<State*>(context);
  const int width = s.shape.out_w, channels = s.shape.channels;
  const size_t words = static_cast<size_t>(width) * b1::words_for(channels);
  for (int row = first; row < last; ++row) {
    s.kernel->run(s.call, row, row + 1);
    if (s.bits == nullptr) continue;
    s.pack->pack_float(s.call.out + static_cast<size_t>(row) * width * s.call.out_stride,
                       s.call.out_stride, width, channels, s.bits + row * words);
  }
}

void run(Partition& p, Op& op) {
  State& s = op.state_as<State>();
  const Value &in = p.values[op.inputs[0]], &out = p.values[op.outputs[0]];
  s.call.in = static_cast<const float*>(in.data);
  s.call.in_stride = in.row_stride;
  s.call.out = static_cast<float*>(out.data);
  s.call.out_stride = out.row_stride;
  s.bits = p.data<uint32_t>(op.outputs[1]);
  p.delegate->pool.run(in.dims[0] * s.shape.out_h, compute, &s);
}

size_t constant_bytes(const Op& op) { return op.state_as<State>().constants.size(); }

}  // namespace

const OpType kMaxPool = {.name = "MAX_POOL_2D",
                         .builtin = kTfLiteBuiltinMaxPool2d,
                         .supports = supports,
                         .activation = activation,
                         .parse = parse,
                         .infer = infer,
                         .prepare = prepare,
                         .run = run,
                         .constant_bytes = constant_bytes,
                         .reads_rows = true,
                         .writes_rows = true,
                         .merges = kNormalisesInput | kEmitsBits | kKeepsFloats};

}  // namespace onebit
