#include "op_maxpool.h"

#include "op_elementwise.h"

namespace onebit {
namespace {

MaxPoolState& state_of(Op& op) { return *static_cast<MaxPoolState*>(op.state); }

bool parse(Partition& p, Op& op, const TfLiteNode& node) {
  MaxPoolState* state = make_state<MaxPoolState>(op);
  if (node.inputs->size != 1 || node.outputs->size != 1 || node.builtin_data == nullptr) {
    return p.fail(op, "needs one input and one output");
  }
  const auto& options = *static_cast<const TfLitePoolParams*>(node.builtin_data);
  Window& w = state->window;
  w.kernel_h = options.filter_height;
  w.kernel_w = options.filter_width;
  w.stride_h = options.stride_height;
  w.stride_w = options.stride_width;
  w.dilation_h = w.dilation_w = 1;
  const int sizes[] = {w.kernel_h, w.kernel_w, w.stride_h, w.stride_w};
  for (int size : sizes) {
    if (size < 1 || size > kMaxWindow) {
      return p.fail(op, "its window and strides must be 1 to %d, one is %d", kMaxWindow, size);
    }
  }
  state->same = options.padding == kTfLitePaddingSame;
  state->activation = options.activation;
  state->scale = state->offset = -1;
  return true;
}

bool prepare(Partition& p, Op& op) {
  MaxPoolState& state = state_of(op);
  const Value in = p.values[op.inputs[0]];
  if (in.type != kTfLiteFloat32 || in.rank != 4 || elements(in) < 0) {
    return p.fail(op, "its input must be float32 [N, H, W, C]");
  }
  Window& w = state.window;
  if (!w.place(in.dims[1], in.dims[2], state.same)) {
    return p.fail(op, "a window of %d x %d does not fit an input of %d x %d", w.kernel_h,
                  w.kernel_w, in.dims[1], in.dims[2]);
  }
  const int channels = in.dims[3];
  state.shape = {in.dims[1], in.dims[2], channels,   w.kernel_h, w.kernel_w, w.stride_h,
                 w.stride_w, w.pad_top,  w.pad_left, w.out_h,    w.out_w};
  const int dims[] = {in.dims[0], w.out_h, w.out_w, channels};
  p.set_shape(op.outputs[0], 4, dims, kTfLiteFloat32);
  if (op.outputs[1] >= 0) {
    const int packed[] = {in.dims[0], w.out_h, w.out_w, b1::words_for(channels)};
    p.set_shape(op.outputs[1], 4, packed, kTfLiteInt32);
  }
  state.call = {};
  state.call.shape = &state.shape;
  activation_range(state.activation, &state.call.low, &state.call.high);
  if (!state.constants.reserve(2 * channels * sizeof(float))) return p.fail(op, "out of memory");
  float *scale = state.constants.as<float>(), *offset = scale + channels;
  if (state.scale >= 0) {
    if (!copy_channel_constant(p, op, state.scale, channels, scale)) return false;
    state.call.scale = scale;
  }
  if (state.offset >= 0) {
    if (!copy_channel_constant(p, op, state.offset, channels, offset)) return false;
    state.call.offset = offset;
  }
  const Options& options = p.delegate->options;
  state.kernel = b1::choose_max_pool_kernel(options.forced, options.isa);
  state.pack = b1::choose_pack_kernel(options.forced, options.isa);
  op.kernel = state.kernel->name;
  return true;
}

// A row of the output is packed while it is still in the cache.
void rows(void* context, int first, int last) {
  const MaxPoolState& s = *static_cast<MaxPoolState*>(context);
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
  MaxPoolState& s = state_of(op);
  const Value &in = p.values[op.inputs[0]], &out = p.values[op.outputs[0]];
  s.call.in = static_cast<const float*>(in.data);
  s.call.in_stride = in.row_stride;
  s.call.out = static_cast<float*>(out.data);
  s.call.out_stride = out.row_stride;
  s.bits = op.outputs[1] < 0 ? nullptr : static_cast<uint32_t*>(p.values[op.outputs[1]].data);
  p.delegate->pool.run(in.dims[0] * s.shape.out_h, rows, &s);
}

}  // namespace

const OpType kMaxPool = {"MAX_POOL_2D", parse, prepare, run, release_state<MaxPoolState>};

}  // namespace onebit
