// LceBMaxPool2d: the maximum of ±1 over a window is -1 only where all are, an AND of bits.
#include "flexbuffer.h"
#include "geometry.h"
#include "graph.h"

namespace onebit {
namespace {

struct State {
  Window window;
  bool same;
  int in_h, in_w, words, out_h, out_w;
  const uint32_t* from;
  uint32_t* to;
};

bool parse(Partition& p, Op& op, const TfLiteNode& node) {
  State* state = make_state<State>(op);
  if (node.inputs->size != 1 || node.outputs->size != 1 || op.inputs[0] < 0 || op.outputs[0] < 0) {
    return p.fail(op, "needs one input and one output, has %d and %d", node.inputs->size,
                  node.outputs->size);
  }
  int32_t padding;
  Window& w = state->window;
  if (!read_option(p, op, node, "filter_height", 1, kMaxWindow, nullptr, &w.kernel_h) ||
      !read_option(p, op, node, "filter_width", 1, kMaxWindow, nullptr, &w.kernel_w) ||
      !read_option(p, op, node, "stride_height", 1, kMaxWindow, nullptr, &w.stride_h) ||
      !read_option(p, op, node, "stride_width", 1, kMaxWindow, nullptr, &w.stride_w) ||
      !read_option(p, op, node, "padding", 0, 1, nullptr, &padding)) {
    return false;
  }
  w.dilation_h = w.dilation_w = 1;
  state->same = padding == 0;
  return true;
}

bool prepare(Partition& p, Op& op) {
  State& state = *static_cast<State*>(op.state);
  const Value& in = p.values[op.inputs[0]];
  if (in.type != kTfLiteInt32 || p.values[op.outputs[0]].type != kTfLiteInt32) {
    return p.fail(op, "input and output must be int32, are %s and %s", type_name(in.type),
                  type_name(p.values[op.outputs[0]].type));
  }
  if (in.rank != 4 || elements(in) < 0) return p.fail(op, "input must be [N, H, W, words]");
  state.in_h = in.dims[1];
  state.in_w = in.dims[2];
  state.words = in.dims[3];
  if (!state.window.place(state.in_h, state.in_w, state.same)) {
    return p.fail(op, "a window of %d x %d does not fit an input of %d x %d", state.window.kernel_h,
                  state.window.kernel_w, state.in_h, state.in_w);
  }
  state.out_h = state.window.out_h;
  state.out_w = state.window.out_w;
  const int dims[] = {in.dims[0], state.out_h, state.out_w, state.words};
  p.set_shape(op.outputs[0], 4, dims, kTfLiteInt32);
  op.kernel = "b1_bmaxpool__scalar";
  return true;
}

void pool_rows(void* context, int first, int last) {
  const State& s = *static_cast<State*>(context);
  const Window& w = s.window;
  for (int row = first; row < last; ++row) {
    const int n = row / s.out_h, y = row % s.out_h * w.stride_h - w.pad_top;
    const int top = y < 0 ? 0 : y, bottom = y + w.kernel_h < s.in_h ? y + w.kernel_h : s.in_h;
    uint32_t* to = s.to + static_cast<size_t>(row) * s.out_w * s.words;
    for (int column = 0; column < s.out_w; ++column, to += s.words) {
      const int x = column * w.stride_w - w.pad_left;
      const int left = x < 0 ? 0 : x, right = x + w.kernel_w < s.in_w ? x + w.kernel_w : s.in_w;
      for (int i = 0; i < s.words; ++i) to[i] = ~0u;
      for (int iy = top; iy < bottom; ++iy) {
        const size_t line = (static_cast<size_t>(n) * s.in_h + iy) * s.in_w;
        for (int ix = left; ix < right; ++ix) {
          const uint32_t* from = s.from + (line + ix) * s.words;
          for (int i = 0; i < s.words; ++i) to[i] &= from[i];
        }
      }
    }
  }
}

void run(Partition& p, Op& op) {
  State& state = *static_cast<State*>(op.state);
  const Value& in = p.values[op.inputs[0]];
  state.from = static_cast<const uint32_t*>(in.data);
  state.to = static_cast<uint32_t*>(p.values[op.outputs[0]].data);
  p.delegate->pool.run(in.dims[0] * state.out_h, pool_rows, &state);
}

}  // namespace

const OpType kBMaxPool = {"LceBMaxPool2d", parse, prepare, run, release_state<State>};

}  // namespace onebit
