#include "op_bconv.h"

#include "op_elementwise.h"

namespace onebit {
namespace {

BconvState& state_of(Op& op) { return *static_cast<BconvState*>(op.state); }

bool parse(Partition& p, Op& op, const TfLiteNode& node) {
  BconvState* state = make_state<BconvState>(op);
  if (node.inputs->size != 5 || node.outputs->size != 1 || op.inputs[kBconvInput] < 0 ||
      op.inputs[kBconvFilter] < 0 || op.outputs[0] < 0) {
    return p.fail(op, "needs five inputs and one output, has %d and %d", node.inputs->size,
                  node.outputs->size);
  }
  Window& w = state->window;
  int padding, pad_values;
  const int one = 1, zero = 0;
  if (!read_option(p, op, node, "stride_height", 1, kMaxWindow, nullptr, &w.stride_h) ||
      !read_option(p, op, node, "stride_width", 1, kMaxWindow, nullptr, &w.stride_w) ||
      !read_option(p, op, node, "dilation_height_factor", 1, kMaxWindow, &one, &w.dilation_h) ||
      !read_option(p, op, node, "dilation_width_factor", 1, kMaxWindow, &one, &w.dilation_w) ||
      !read_option(p, op, node, "padding", 0, 1, nullptr, &padding) ||
      !read_option(p, op, node, "pad_values", 0, 1, &zero, &pad_values) ||
      !read_option(p, op, node, "channels_in", 1, 1 << 24, nullptr, &state->channels_in) ||
      !read_option(p, op, node, "fused_activation_function", 0, 3, &zero, &state->activation)) {
    return false;
  }
  state->same = padding == 0;
  state->pad_ones = pad_values == 1;
  return true;
}

// Fills `state.shape` from the tensors and options.
bool find_shape(Partition& p, Op& op, BconvState& state) {
  const Value& in = p.values[op.inputs[kBconvInput]];
  const Value& filter = p.values[op.inputs[kBconvFilter]];
  if (in.type != kTfLiteInt32) return p.fail(op, "input is %s, not int32", type_name(in.type));
  if (in.rank != 4 || elements(in) < 0) return p.fail(op, "input must be [N, H, W, words]");
  if (filter.rank != 4 || elements(filter) < 0 || filter.dims[1] > kMaxWindow ||
      filter.dims[2] > kMaxWindow) {
    return p.fail(op, "filter must be [O, KH, KW, words]");
  }
  b1::BconvShape& s = state.shape;
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
  const int64_t frame = static_cast<int64_t>(s.padded_h()) * s.padded_w();
  const int64_t out = static_cast<int64_t>(s.out_h) * s.out_w * (s.channels_out + 32ll);
  if (frame > 1 << 28 || frame * s.batch * s.words_in() > 1 << 28 || out > 1 << 29 ||
      out * s.batch > 1 << 29) {
    return p.fail(op, "an input of %d x %d x %d with %d channels out is too large", s.batch, s.in_h,
                  s.in_w, s.channels_out);
  }
  return true;
}

// Sum of the weights of tap (ky, kx), output `o`, as ±1.
int tap_sum(const b1::BconvShape& s, const uint32_t* filter, int o, int ky, int kx) {
  const int words = s.group_words();
  const uint32_t* tap =
      filter + ((static_cast<size_t>(o) * s.kernel_h + ky) * s.kernel_w + kx) * words;
  int negative = 0;
  for (int i = 0; i < words; ++i) negative += __builtin_popcount(tap[i]);
  return s.channels_in / s.groups - 2 * negative;
}

// The taps [first, last) that lie inside a line of `in` when the window starts at `start`.
struct Inside {
  int first, last;
};

Inside inside(int start, int in, int kernel, int dilation) {
  Inside range = {start < 0 ? (-start + dilation - 1) / dilation : 0, kernel};
  if (start + (kernel - 1) * dilation >= in) range.last = (in - start + dilation - 1) / dilation;
  if (range.last < range.first) range.last = range.first;
  return range;
}

// Sorts the positions of a line into classes with the same taps inside; returns how many.
int classify(int out, int stride, int pad, int in, int kernel, int dilation, uint8_t* classes,
             Inside* ranges, int max_classes) {
  int count = 0;
  for (int i = 0; i < out; ++i) {
    const Inside range = inside(i * stride - pad, in, kernel, dilation);
    int c = 0;
    while (c < count && (ranges[c].first != range.first || ranges[c].last != range.last)) ++c;
    if (c == max_classes) return -1;
    if (c == count) ranges[count++] = range;
    classes[i] = static_cast<uint8_t>(c);
  }
  return count;
}

// Zero padding: for each class of positions, the sum of the weights of the taps outside.
bool make_correction(Partition& p, Op& op, BconvState& state, const uint32_t* filter) {
  const b1::BconvShape& s = state.shape;
  constexpr int kMaxClasses = 255;
  Inside rows[kMaxClasses], columns[kMaxClasses];
  if (!state.classes.reserve(static_cast<size_t>(s.out_h) + s.out_w))
    return p.fail(op, "out of memory");
  uint8_t* row_class = state.classes.as<uint8_t>();
  uint8_t* col_class = row_class + s.out_h;
  const int row_count = classify(s.out_h, s.stride_h, s.pad_top, s.in_h, s.kernel_h, s.dilation_h,
                                 row_class, rows, kMaxClasses);
  const int col_count = classify(s.out_w, s.stride_w, s.pad_left, s.in_w, s.kernel_w, s.dilation_w,
                                 col_class, columns, kMaxClasses);
  const size_t stride = b1::channel_capacity(s.channels_out);
  if (row_count < 0 || col_count < 0) return p.fail(op, "its zero padding is too wide");
  const size_t size = row_count * col_count * stride * sizeof(int32_t);
  if (size > 1 << 28 || !state.correction_table.reserve(size))
    return p.fail(op, "its zero padding is too wide");
  int32_t* table = state.correction_table.as<int32_t>();
  memset(table, 0, size);
  for (int o = 0; o < s.channels_out; ++o) {
    for (int ky = 0; ky < s.kernel_h; ++ky) {
      for (int kx = 0; kx < s.kernel_w; ++kx) {
        const int sum = tap_sum(s, filter, o, ky, kx);
        for (int r = 0; r < row_count; ++r) {
          const bool row_inside = ky >= rows[r].first && ky < rows[r].last;
          for (int c = 0; c < col_count; ++c) {
            if (row_inside && kx >= columns[c].first && kx < columns[c].last) continue;
            table[(static_cast<size_t>(r) * col_count + c) * stride + o] += sum;
          }
        }
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
  if (low < -products) low = -products;
  if (high > products) high = products;
  e->has_clamp = activation != kTfLiteActNone;
  e->clamp_min = products - high;
  e->clamp_max = products - low;
}

// Folds multiplier and bias, or copies thresholds, into arrays that whole blocks may be read from.
bool make_epilogue(Partition& p, Op& op, BconvState& state) {
  const b1::BconvShape& s = state.shape;
  b1::BconvEpilogue& e = state.epilogue;
  const int capacity = b1::channel_capacity(s.channels_out);
  const int32_t products = s.kernel_h * s.kernel_w * (s.channels_in / s.groups);
  if (!state.channel_data.reserve(2 * capacity * sizeof(float))) return p.fail(op, "out of memory");
  memset(state.channel_data.as<void>(), 0, 2 * capacity * sizeof(float));
  if (e.output == b1::BconvOutput::kBits) {
    const void* data = p.constant(op.inputs[kBconvThresholds], kTfLiteInt32, s.channels_out);
    if (data == nullptr) {
      return p.fail(op, "bitpacked output needs %d constant int32 thresholds", s.channels_out);
    }
    const int32_t* thresholds = static_cast<const int32_t*>(data);
    int32_t* copy = state.channel_data.as<int32_t>();
    for (int o = 0; o < s.channels_out; ++o) {
      // a lies within [0, K]: thresholds beyond mean always or never, and must not overflow twice.
      copy[o] = thresholds[o] < -1 ? -1 : thresholds[o] > products ? products : thresholds[o];
    }
    e.thresholds = copy;
    return true;
  }
  const void* multiplier_data =
      p.constant(op.inputs[kBconvMultiplier], kTfLiteFloat32, s.channels_out);
  const void* bias_data = p.constant(op.inputs[kBconvBias], kTfLiteFloat32, s.channels_out);
  if (multiplier_data == nullptr || bias_data == nullptr) {
    return p.fail(op, "needs a constant float32 multiplier and bias of %d values", s.channels_out);
  }
  double scale = 1, zero_point = 0;
  if (e.output == b1::BconvOutput::kInt8) {
    const TfLiteQuantizationParams& q = p.tensor_of(op.outputs[0]).params;
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

bool choose_output(Partition& p, Op& op, BconvState& state) {
  const int main = op.outputs[0] >= 0 ? op.outputs[0] : op.outputs[1];
  // Without its float output, a merged LceQuantize still makes this a float convolution.
  const TfLiteType type = op.outputs[0] >= 0 ? p.values[main].type : kTfLiteFloat32;
  b1::BconvEpilogue& e = state.epilogue;
  switch (type) {
    case kTfLiteFloat32:
      e.output = b1::BconvOutput::kFloat;
      return true;
    case kTfLiteInt8:
      e.output = b1::BconvOutput::kInt8;
      return true;
    case kTfLiteInt32:
      e.output = b1::BconvOutput::kBits;
      return true;
    default:
      return p.fail(op, "output is %s, not float32, int8 or int32", type_name(type));
  }
}

bool prepare(Partition& p, Op& op) {
  BconvState& state = state_of(op);
  b1::BconvShape& s = state.shape;
  b1::BconvEpilogue& e = state.epilogue;
  if (!find_shape(p, op, state) || !choose_output(p, op, state) || !make_epilogue(p, op, state)) {
    return false;
  }
  const int64_t filter_size =
      static_cast<int64_t>(s.channels_out) * s.kernel_h * s.kernel_w * s.group_words();
  const uint32_t* filter =
      static_cast<const uint32_t*>(p.constant(op.inputs[kBconvFilter], kTfLiteInt32, filter_size));
  if (filter == nullptr) return p.fail(op, "filter must be constant int32");
  if (s.zero_padding && !make_correction(p, op, state, filter)) return false;

  const Options& options = p.delegate->options;
  state.kernel = b1::choose_bconv_kernel(s, options.forced, options.isa, options.kernel);
  if (state.packed_for != state.kernel) {
    if (!state.filter.reserve(state.kernel->filter_words(s) * sizeof(uint32_t))) {
      return p.fail(op, "out of memory");
    }
    state.kernel->pack_filter(s, filter, state.filter.as<uint32_t>());
    state.packed_for = state.kernel;
  }
  op.scratch = -1;
  if (const size_t words = state.kernel->scratch_words(s)) {
    op.scratch = p.add_scratch(words * sizeof(uint32_t));
  }

  const int dims[] = {s.batch, s.out_h, s.out_w, s.channels_out};
  const int packed[] = {s.batch, s.out_h, s.out_w, b1::words_for(s.channels_out)};
  const bool bits = e.output == b1::BconvOutput::kBits;
  if (op.outputs[0] >= 0) {
    p.set_shape(op.outputs[0], 4, bits ? packed : dims, p.values[op.outputs[0]].type);
  }
  p.set_shape(op.outputs[1], 4, packed, kTfLiteInt32);
  e.has_add = state.has_add;
  if (state.has_add) {
    const Value& residual = p.values[op.inputs[kBconvResidual]];
    for (int i = 0; i < 4; ++i) {
      if (residual.rank != 4 || residual.dims[i] != dims[i]) {
        return p.fail(op, "the ADD that follows has operands of different shapes");
      }
    }
    e.has_add_clamp = state.add_activation != kTfLiteActNone;
    activation_range(state.add_activation, &e.add_min, &e.add_max);
  }
  op.kernel = state.kernel->name;
  op.macs = static_cast<int64_t>(s.pixels()) * s.channels_out * s.kernel_h * s.kernel_w *
            (s.channels_in / s.groups);
  return true;
}

void stage(void* context, int first, int last) {
  const BconvState& state = *static_cast<BconvState*>(context);
  state.kernel->stage(state.call, first, last);
}

void compute(void* context, int first, int last) {
  const BconvState& state = *static_cast<BconvState*>(context);
  state.kernel->run(state.call, first, last);
}

template <class T>
T* data_of(Partition& p, int value) {
  return value < 0 ? nullptr : static_cast<T*>(p.values[value].data);
}

void run(Partition& p, Op& op) {
  BconvState& state = state_of(op);
  b1::BconvCall& call = state.call;
  call = {};
  call.shape = &state.shape;
  call.epilogue = &state.epilogue;
  call.correction = state.shape.zero_padding ? &state.correction : nullptr;
  call.filter = state.filter.as<uint32_t>();
  call.input = data_of<uint32_t>(p, op.inputs[kBconvInput]);
  call.scratch = data_of<uint32_t>(p, op.scratch);
  switch (state.epilogue.output) {
    case b1::BconvOutput::kFloat:
      call.out_float = data_of<float>(p, op.outputs[0]);
      if (call.out_float) call.out_stride = p.values[op.outputs[0]].row_stride;
      call.out_bits = data_of<uint32_t>(p, op.outputs[1]);
      if (state.has_add) call.residual = data_of<float>(p, op.inputs[kBconvResidual]);
      break;
    case b1::BconvOutput::kInt8:
      call.out_int8 = data_of<int8_t>(p, op.outputs[0]);
      break;
    case b1::BconvOutput::kBits:
      call.out_bits = data_of<uint32_t>(p, op.outputs[0]);
      break;
  }
  Pool& pool = p.delegate->pool;
  pool.run(state.kernel->stage_items(state.shape), stage, &state);
  pool.run(state.kernel->run_items(state.shape), compute, &state);
}

}  // namespace

const OpType kBconv = {"LceBconv2d", parse, prepare, run, release_state<BconvState>};

}  // namespace onebit
