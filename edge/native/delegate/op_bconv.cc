// LceBconv2d with what was merged into it: a residual ADD and the LceQuantize that follows.
#include <algorithm>

#include "geometry.h"
#include "op_elementwise.h"
#include "op_types.h"

namespace onebit {
namespace {

// Inputs of the operator; a merged ADD's other operand is Op::kResidual.
enum { kInput, kFilter, kMultiplier, kBias, kThresholds };

struct State {
  Window window;
  bool same, pad_ones;
  int channels_in, activation;
  TfLiteType output_type;

  b1::ConvShape shape;
  b1::BconvEpilogue epilogue;
  b1::BconvCorrection correction;
  const b1::BconvKernel* kernel;
  const b1::BconvKernel* packed_for;  // the variant that `filter` was packed for
  Buffer filter, channel_data, correction_table, classes;
  b1::BconvCall call;
};

bool parse(Partition& p, Op& op, const TfLiteNode& node, const Claim&) {
  if (!make_state<State>(p, op)) return false;
  State& state = op.state_as<State>();
  if (node.inputs->size != 5 || node.outputs->size != 1 || op.node_inputs[kInput] < 0 ||
      op.node_inputs[kFilter] < 0 || op.node_output < 0) {
    return p.fail(op, "needs five inputs and one output, has %d and %d", node.inputs->size,
                  node.outputs->size);
  }
  Window& w = state.window;
  int padding, pad_values;
  const int one = 1, zero = 0;
  if (!read_option(p, op, node, "stride_height", 1, kMaxWindow, nullptr, &w.stride_h) ||
      !read_option(p, op, node, "stride_width", 1, kMaxWindow, nullptr, &w.stride_w) ||
      !read_option(p, op, node, "dilation_height_factor", 1, kMaxWindow, &one, &w.dilation_h) ||
      !read_option(p, op, node, "dilation_width_factor", 1, kMaxWindow, &one, &w.dilation_w) ||
      !read_option(p, op, node, "padding", 0, 1, nullptr, &padding) ||
      !read_option(p, op, node, "pad_values", 0, 1, &zero, &pad_values) ||
      !read_option(p, op, node, "channels_in", 1, 1 << 24, nullptr, &state.channels_in) ||
      !read_option(p, op, node, "fused_activation_function", 0, 3, &zero, &state.activation)) {
    return false;
  }
  state.same = padding == 0;
  state.pad_ones = pad_values == 1;
  state.output_type = p.values[op.node_output].type;
  // Other outputs have no thresholds, and select.cc may have put another tensor in their place.
  if (state.output_type != kTfLiteInt32) op.node_inputs[kThresholds] = -1;
  return true;
}

// Fills `state.shape` from the tensors and options.
bool find_shape(Partition& p, Op& op, State& state) {
  const Value& in = p.values[op.inputs[kInput]];
  const Value& filter = p.values[op.inputs[kFilter]];
  if (in.type != kTfLiteInt32) return p.fail(op, "input is %s, not int32", type_name(in.type));
  if (in.rank != 4 || elements(in) < 0) return p.fail(op, "input must be [N, H, W, words]");
  if (filter.rank != 4 || elements(filter) < 1 || filter.dims[1] > kMaxWindow ||
      filter.dims[2] > kMaxWindow) {
    return p.fail(op, "filter must be [O, KH, KW, words]");
  }
  b1::ConvShape& s = state.shape;
  s.batch = in.dims[0], s.in_h = in.dims[1], s.in_w = in.dims[2];
  s.channels_in = state.channels_in;
  s.channels_out = filter.dims[0];
  Window& w = state.window;
  w.kernel_h = filter.dims[1], w.kernel_w = filter.dims[2];
  if (in.dims[3] != b1::words_for(s.channels_in)) {
    return p.fail(op, "option channels_in is %d, but the input has %d words", s.channels_in,
                  in.dims[3]);
  }
  // Grouped filters hold fewer words; the converter groups whole words only.
  if (filter.dims[3] > in.dims[3] || in.dims[3] % filter.dims[3] != 0) {
    return p.fail(op, "input has %d words and the filter %d", in.dims[3], filter.dims[3]);
  }
  s.groups = in.dims[3] / filter.dims[3];
  if (s.groups > 1 && (s.channels_in % (32 * s.groups) != 0 || s.channels_out % s.groups != 0)) {
    return p.fail(op, "%d channels in and %d out do not divide into %d groups", s.channels_in,
                  s.channels_out, s.groups);
  }
  const int64_t products = static_cast<int64_t>(w.kernel_h) * w.kernel_w * 32 * filter.dims[3];
  if (products > 1 << 28) return p.fail(op, "a filter of %d words is too large", filter.dims[3]);
  if (!w.place(s.in_h, s.in_w, state.same)) {
    return p.fail(op, "a window of %d x %d does not fit an input of %d x %d", w.kernel_h,
                  w.kernel_w, s.in_h, s.in_w);
  }
  s.out_h = w.out_h, s.out_w = w.out_w;
  s.kernel_h = w.kernel_h, s.kernel_w = w.kernel_w;
  s.stride_h = w.stride_h, s.stride_w = w.stride_w;
  s.dilation_h = w.dilation_h, s.dilation_w = w.dilation_w;
  s.pad_top = w.pad_top, s.pad_left = w.pad_left;
  s.zero_padding = state.same && !state.pad_ones && s.needs_padding();
  // Indices into the padded input, the outputs and the filter stay below 2^31.
  const int64_t padded = static_cast<int64_t>(s.padded_h()) * s.padded_w();
  const int64_t plane = static_cast<int64_t>(s.out_h) * s.out_w;
  const int64_t out = plane * (s.channels_out + 32ll);
  if (padded > 1 << 28 || padded * s.batch > 1 << 28 || padded * s.batch * s.words_in() > 1 << 28 ||
      plane > 1 << 29 || out > 1 << 29 || out * s.batch > 1 << 29) {
    return p.fail(op, "an input of %d x %d x %d with %d channels out is too large", s.batch, s.in_h,
                  s.in_w, s.channels_out);
  }
  return true;
}

// Sum of the weights of a tap, as ±1.
int tap_sum(const b1::ConvShape& s, const uint32_t* tap) {
  int negative = 0;
  for (int i = 0; i < s.group_words(); ++i) negative += __builtin_popcount(tap[i]);
  return s.channels_in / s.groups - 2 * negative;
}

// The taps [first, last) that lie inside a line of `in` when the window starts at `start`.
struct Inside {
  int first, last;
};

Inside inside(int start, int in, int kernel, int dilation) {
  Inside range = {start < 0 ? (-start + dilation - 1) / dilation : 0, kernel};
  if (start + (kernel - 1) * dilation >= in) range.last = (in - start + dilation - 1) / dilation;
  range.first = std::min(range.first, kernel);
  range.last = std::max(range.last, range.first);
  return range;
}

constexpr int kMaxClasses = 255;

// Sorts the positions of a line into classes with the same taps inside; returns their count, or -1
// if there are too many. A class's positions follow each other.
int classify(int out, int stride, int pad, int in, int kernel, int dilation, uint8_t* classes,
             Inside* ranges) {
  int count = 0;
  for (int i = 0; i < out; ++i) {
    const Inside range = inside(i * stride - pad, in, kernel, dilation);
    int c = 0;
    while (c < count && (ranges[c].first != range.first || ranges[c].last != range.last)) ++c;
    if (c == kMaxClasses) return -1;
    if (c == count) ranges[count++] = range;
    classes[i] = static_cast<uint8_t>(c);
  }
  return count;
}

// Zero padding: for each class of positions, the sum of the weights of the taps outside. Those of
// the taps inside are differences of sums over all taps above and to the left of a tap.
bool make_correction(Partition& p, Op& op, State& state, const uint32_t* filter) {
  const b1::ConvShape& s = state.shape;
  Inside rows[kMaxClasses], columns[kMaxClasses];
  if (!state.classes.reserve(static_cast<uint64_t>(s.out_h) + s.out_w, 1)) {
    return p.out_of_memory(op);
  }
  uint8_t* row_class = state.classes.as<uint8_t>();
  uint8_t* col_class = row_class + s.out_h;
  const int row_count =
      classify(s.out_h, s.stride_h, s.pad_top, s.in_h, s.kernel_h, s.dilation_h, row_class, rows);
  const int col_count = classify(s.out_w, s.stride_w, s.pad_left, s.in_w, s.kernel_w, s.dilation_w,
                                 col_class, columns);
  const size_t stride = b1::channel_capacity(s.channels_out);
  const uint64_t entries = static_cast<uint64_t>(row_count) * col_count * stride;
  if (row_count < 0 || col_count < 0 || entries > 1 << 26) {
    return p.fail(op, "its zero padding is too wide");
  }
  const int pitch = s.kernel_w + 1, words = s.group_words();
  Buffer sums;
  if (!state.correction_table.reserve(entries, sizeof(int32_t)) ||
      !sums.reserve(static_cast<uint64_t>(s.kernel_h + 1) * pitch, sizeof(int32_t))) {
    return p.out_of_memory(op);
  }
  int32_t *table = state.correction_table.as<int32_t>(), *before = sums.as<int32_t>();
  std::fill_n(table, entries, 0);
  std::fill_n(before, pitch, 0);
  for (int o = 0; o < s.channels_out; ++o) {
    for (int ky = 0; ky < s.kernel_h; ++ky) {
      int32_t line = 0, *above = before + static_cast<size_t>(ky) * pitch;
      above[pitch] = 0;
      for (int kx = 0; kx < s.kernel_w; ++kx, filter += words) {
        line += tap_sum(s, filter);
        above[pitch + kx + 1] = above[kx + 1] + line;
      }
    }
    const auto sum_before = [&](int ky, int kx) {
      return before[static_cast<size_t>(ky) * pitch + kx];
    };
    const int32_t all = sum_before(s.kernel_h, s.kernel_w);
    for (int r = 0; r < row_count; ++r) {
      for (int c = 0; c < col_count; ++c) {
        const Inside y = rows[r], x = columns[c];
        table[(static_cast<size_t>(r) * col_count + c) * stride + o] =
            all - (sum_before(y.last, x.last) - sum_before(y.first, x.last) -
                   sum_before(y.last, x.first) + sum_before(y.first, x.first));
      }
    }
  }
  state.correction = {table, row_class, col_class, col_count};
  return true;
}

// The clamp of a fused activation on K - 2a, mirrored to one on 2a (see kernels/bconv.h).
void mirror_clamp(int activation, int32_t products, b1::BconvEpilogue* e) {
  int32_t low = -products, high = products;
  if (activation != kTfLiteActNone) low = activation == kTfLiteActReluN1To1 ? -1 : 0;
  if (activation == kTfLiteActReluN1To1) high = 1;
  if (activation == kTfLiteActRelu6) high = 6;
  low = std::max(low, -products);
  high = std::min(high, products);
  e->has_clamp = activation != kTfLiteActNone;
  e->clamp_min = products - high;
  e->clamp_max = products - low;
}

// Folds multiplier and bias, or copies thresholds, into arrays that whole blocks may be read from.
bool make_epilogue(Partition& p, Op& op, State& state) {
  const b1::ConvShape& s = state.shape;
  b1::BconvEpilogue& e = state.epilogue;
  const size_t capacity = b1::channel_capacity(s.channels_out);
  const int32_t products = s.kernel_h * s.kernel_w * (s.channels_in / s.groups);
  if (!state.channel_data.reserve(uint64_t{2} * capacity, sizeof(float))) {
    return p.out_of_memory(op);
  }
  std::fill_n(state.channel_data.as<float>(), 2 * capacity, 0.0f);
  if (e.output == b1::BconvOutput::kBits) {
    const void* data = p.constant(op.inputs[kThresholds], kTfLiteInt32, s.channels_out);
    if (data == nullptr) {
      return p.fail(op, "bitpacked output needs %d constant int32 thresholds", s.channels_out);
    }
    const int32_t* thresholds = static_cast<const int32_t*>(data);
    int32_t* copy = state.channel_data.as<int32_t>();
    for (int o = 0; o < s.channels_out; ++o) {
      // a lies within [0, K]: thresholds beyond mean always or never, and must not overflow twice.
      copy[o] = std::clamp(thresholds[o], -1, products);
    }
    e.thresholds = copy;
    return true;
  }
  const void* multiplier_data = p.constant(op.inputs[kMultiplier], kTfLiteFloat32, s.channels_out);
  const void* bias_data = p.constant(op.inputs[kBias], kTfLiteFloat32, s.channels_out);
  if (multiplier_data == nullptr || bias_data == nullptr) {
    return p.fail(op, "needs a constant float32 multiplier and bias of %d values", s.channels_out);
  }
  double scale = 1, zero_point = 0;
  if (e.output == b1::BconvOutput::kInt8) {
    const TfLiteQuantizationParams& q = p.tensor_of(op.node_output).params;
    if (!(q.scale > 0)) return p.fail(op, "int8 output needs a scale above zero");
    scale = q.scale;
    zero_point = q.zero_point;
  }
  const float* from_multiplier = static_cast<const float*>(multiplier_data);
  const float* from_bias = static_cast<const float*>(bias_data);
  float* multiplier = state.channel_data.as<float>();
  float* bias = multiplier + capacity;
  for (int o = 0; o < s.channels_out; ++o) {
    // In double, and rounded once, as LCE does.
    multiplier[o] = static_cast<float>(-1 * from_multiplier[o] / scale);
    bias[o] = static_cast<float>(
        (from_bias[o] + static_cast<double>(products) * from_multiplier[o]) / scale + zero_point);
  }
  e.multiplier = multiplier;
  e.bias = bias;
  mirror_clamp(state.activation, products, &e);
  return true;
}

b1::BconvOutput output_of(TfLiteType type) {
  return type == kTfLiteFloat32 ? b1::BconvOutput::kFloat
         : type == kTfLiteInt8  ? b1::BconvOutput::kInt8
                                : b1::BconvOutput::kBits;
}

bool infer(Partition& p, Op& op) {
  State& state = op.state_as<State>();
  if (!find_shape(p, op, state)) return false;
  const b1::ConvShape& s = state.shape;
  const TfLiteType type = state.output_type;
  if (type != kTfLiteFloat32 && type != kTfLiteInt8 && type != kTfLiteInt32) {
    return p.fail(op, "output is %s, not float32, int8 or int32", type_name(type));
  }
  const int depth = type == kTfLiteInt32 ? b1::words_for(s.channels_out) : s.channels_out;
  const int dims[] = {s.batch, s.out_h, s.out_w, depth};
  p.set_shape(op.outputs[0], 4, dims, type);
  if (type != kTfLiteFloat32) op.merges = 0;
  return true;
}

bool prepare(Partition& p, Op& op) {
  State& state = op.state_as<State>();
  const b1::ConvShape& s = state.shape;
  b1::BconvEpilogue& e = state.epilogue;
  e.output = output_of(state.output_type);
  if (!make_epilogue(p, op, state)) return false;
  e.has_add = op.inputs[Op::kResidual] >= 0;
  e.has_add_clamp = e.has_add && op.merged_activation != kTfLiteActNone;
  activation_range(op.merged_activation, &e.add_min, &e.add_max);
  const int64_t filter_size =
      static_cast<int64_t>(s.channels_out) * s.kernel_h * s.kernel_w * s.group_words();
  const uint32_t* filter =
      static_cast<const uint32_t*>(p.constant(op.inputs[kFilter], kTfLiteInt32, filter_size));
  if (filter == nullptr) return p.fail(op, "filter must be constant int32");
  op.macs = static_cast<int64_t>(s.pixels()) * s.channels_out * s.kernel_h * s.kernel_w *
            (s.channels_in / s.groups);
  op.kernel = "";
  if (s.pixels() == 0) return true;  // it will not run
  if (s.zero_padding && !make_correction(p, op, state, filter)) return false;

  const Options& options = p.delegate->options;
  state.kernel = b1::choose_bconv_kernel(s, options.isa, options.kernel);
  op.kernel = state.kernel->info.name;
  if (state.packed_for != state.kernel) {
    state.packed_for = nullptr;
    if (!state.filter.reserve(state.kernel->filter_words(s), sizeof(uint32_t))) {
      return p.out_of_memory(op);
    }
    state.kernel->pack_filter(s, filter, state.filter.as<uint32_t>());
    state.packed_for = state.kernel;
  }
  const uint64_t scratch = state.kernel->scratch_words(s);
  return scratch == 0 || p.add_scratch(op, scratch * sizeof(uint32_t));
}

void pack_input(void* context, int first, int last) {
  const State& state = *static_cast<State*>(context);
  state.kernel->pack_input(state.call, first, last);
}

void compute(void* context, int first, int last) {
  const State& state = *static_cast<State*>(context);
  state.kernel->run(state.call, first, last);
}

void run(Partition& p, Op& op) {
  State& state = op.state_as<State>();
  b1::BconvCall& call = state.call;
  call = {};
  call.shape = &state.shape;
  call.epilogue = &state.epilogue;
  call.correction = state.shape.zero_padding ? &state.correction : nullptr;
  call.filter = state.filter.as<uint32_t>();
  call.input = p.data<uint32_t>(op.inputs[kInput]);
  call.scratch = p.data<uint32_t>(op.scratch);
  switch (state.epilogue.output) {
    case b1::BconvOutput::kFloat:
      call.out_float = p.data<float>(op.outputs[0]);
      if (call.out_float) call.out_stride = p.values[op.outputs[0]].row_stride;
      call.out_bits = p.data<uint32_t>(op.outputs[1]);
      call.residual = p.data<float>(op.inputs[Op::kResidual]);
      break;
    case b1::BconvOutput::kInt8:
      call.out_int8 = p.data<int8_t>(op.outputs[0]);
      break;
    case b1::BconvOutput::kBits:
      call.out_bits = p.data<uint32_t>(op.outputs[0]);
      break;
  }
  Pool& pool = p.delegate->pool;
  pool.run(state.kernel->input_items(state.shape), pack_input, &state);
  pool.run(state.kernel->run_items(state.shape), compute, &state);
}

size_t constant_bytes(const Op& op) {
  const State& s = op.state_as<State>();
  return s.filter.size() + s.channel_data.size() + s.correction_table.size() + s.classes.size();
}

}  // namespace

const OpType kBconv = {.name = "LceBconv2d",
                       .parse = parse,
                       .infer = infer,
                       .prepare = prepare,
                       .run = run,
                       .constant_bytes = constant_bytes,
                       .writes_rows = true,
                       .merges = kTakesResidual | kEmitsBits};

}  // namespace onebit
