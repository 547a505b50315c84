// LceBMaxPool2d.
#include "geometry.h"
#include "op_types.h"

namespace onebit {
namespace {

struct State {
  Window window;
  bool same;
  b1::BMaxPoolShape shape;
  b1::BMaxPoolCall call;
  const b1::BMaxPoolKernel* kernel;
};

bool parse(Partition& p, Op& op, const TfLiteNode& node, const Claim&) {
  if (!make_state<State>(p, op)) return false;
  State& state = op.state_as<State>();
  if (node.inputs->size != 1 || node.outputs->size != 1 || op.node_inputs[0] < 0 ||
      op.node_output < 0) {
    return p.fail(op, "needs one input and one output, has %d and %d", node.inputs->size,
                  node.outputs->size);
  }
  int32_t padding;
  Window& w = state.window;
  if (!read_option(p, op, node, "filter_height", 1, kMaxWindow, nullptr, &w.kernel_h) ||
      !read_option(p, op, node, "filter_width", 1, kMaxWindow, nullptr, &w.kernel_w) ||
      !read_option(p, op, node, "stride_height", 1, kMaxWindow, nullptr, &w.stride_h) ||
      !read_option(p, op, node, "stride_width", 1, kMaxWindow, nullptr, &w.stride_w) ||
      !read_option(p, op, node, "padding", 0, 1, nullptr, &padding)) {
    return false;
  }
  w.dilation_h = w.dilation_w = 1;
  state.same = padding == 0;
  return true;
}

bool infer(Partition& p, Op& op) {
  State& state = op.state_as<State>();
  const Value in = p.values[op.inputs[0]];
  if (in.type != kTfLiteInt32 || p.values[op.outputs[0]].type != kTfLiteInt32) {
    return p.fail(op, "input and output must be int32, are %s and %s", type_name(in.type),
                  type_name(p.values[op.outputs[0]].type));
  }
  if (in.rank != 4 || elements(in) < 0) return p.fail(op, "input must be [N, H, W, words]");
  Window& w = state.window;
  if (!w.place(in.dims[1], in.dims[2], state.same)) {
    return p.fail(op, "a window of %d x %d does not fit an input of %d x %d", w.kernel_h,
                  w.kernel_w, in.dims[1], in.dims[2]);
  }
  state.shape = {in.dims[1], in.dims[2], in.dims[3], w.kernel_h, w.kernel_w, w.stride_h,
                 w.stride_w, w.pad_top,  w.pad_left, w.out_h,    w.out_w};
  const int dims[] = {in.dims[0], w.out_h, w.out_w, in.dims[3]};
  p.set_shape(op.outputs[0], 4, dims, kTfLiteInt32);
  return true;
}

bool prepare(Partition& p, Op& op) {
  State& state = op.state_as<State>();
  state.kernel = b1::choose_kernel<b1::BMaxPoolKernel>(p.delegate->options.isa);
  op.kernel = state.kernel->info.name;
  return true;
}

void compute(void* context, int first, int last) {
  const State& state = *static_cast<State*>(context);
  state.kernel->run(state.call, first, last);
}

void run(Partition& p, Op& op) {
  State& state = op.state_as<State>();
  state.call = {&state.shape, p.data<uint32_t>(op.inputs[0]), p.data<uint32_t>(op.outputs[0])};
  p.delegate->pool.run(p.values[op.inputs[0]].dims[0] * state.shape.out_h, compute, &state);
}

}  // namespace

const OpType kBMaxPool = {
    .name = "LceBMaxPool2d", .parse = parse, .infer = infer, .prepare = prepare, .run = run};

}  // namespace onebit
