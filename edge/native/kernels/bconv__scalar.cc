// The readable reference: every other variant must agree with it bit for bit.
#include "variants.h"

namespace b1 {
namespace {

bool applies(const ConvShape&) { return true; }

uint64_t filter_words(const ConvShape& s) {
  return static_cast<uint64_t>(s.channels_out) * s.kernel_h * s.kernel_w * s.group_words();
}

void pack_filter(const ConvShape& s, const uint32_t* filter, uint32_t* packed) {
  for (size_t i = 0; i < filter_words(s); ++i) packed[i] = filter[i];
}

uint64_t scratch_words(const ConvShape&) { return 0; }
int input_items(const ConvShape&) { return 0; }
void pack_input(const BconvCall&, int, int) {}

int run_items(const ConvShape& s) { return s.batch * s.out_h; }

// a of one output; taps outside the image have zero bits, which means +1.
int32_t popcount_products(const BconvCall& call, int n, int y, int x, int o) {
  const ConvShape& s = *call.shape;
  const int words = s.group_words();
  const int group = o / s.group_channels_out();
  const uint32_t* weights = call.filter + static_cast<size_t>(o) * s.kernel_h * s.kernel_w * words;
  int32_t sum = 0;
  for (int ky = 0; ky < s.kernel_h; ++ky) {
    for (int kx = 0; kx < s.kernel_w; ++kx) {
      const int iy = y * s.stride_h - s.pad_top + ky * s.dilation_h;
      const int ix = x * s.stride_w - s.pad_left + kx * s.dilation_w;
      const bool inside = iy >= 0 && iy < s.in_h && ix >= 0 && ix < s.in_w;
      const size_t pixel = (static_cast<size_t>(n) * s.in_h + iy) * s.in_w + ix;
      for (int i = 0; i < words; ++i) {
        const uint32_t bits = inside ? call.input[pixel * s.words_in() + group * words + i] : 0;
        sum += __builtin_popcount(bits ^ *weights++);
      }
    }
  }
  return sum;
}

int32_t correction(const BconvCall& call, int y, int x, int o) {
  if (call.correction == nullptr) return 0;
  const BconvCorrection& c = *call.correction;
  const size_t entry = c.row_class[y] * c.col_classes + c.col_class[x];
  return c.table[entry * channel_capacity(call.shape->channels_out) + o];
}

void finish(const BconvCall& call, size_t pixel, int o, int32_t products, int32_t correction) {
  const ConvShape& s = *call.shape;
  const BconvEpilogue& e = *call.epilogue;
  const size_t index = pixel * s.channels_out + o;
  uint32_t unread = 0, *word = &unread;
  if (call.out_bits) word = call.out_bits + pixel * words_for(s.channels_out) + o / 32;
  if (o % 32 == 0) *word = 0;
  int32_t t = 2 * products + correction;
  if (e.output == BconvOutput::kBits) {
    *word |= static_cast<uint32_t>(t > 2 * e.thresholds[o]) << (o % 32);
    return;
  }
  t = max(min(t, e.clamp_max), e.clamp_min);
  float value = static_cast<float>(t) * e.multiplier[o] + e.bias[o];
  if (e.output == BconvOutput::kInt8) {
    call.out_int8[index] = round_to_int8(value);
    return;
  }
  if (e.has_add) {
    value = clamp(value + call.residual[index], e.add_min, e.add_max);
  }
  if (call.out_float) call.out_float[pixel * call.out_stride + o] = value;
  *word |= static_cast<uint32_t>(value < 0.0f) << (o % 32);
}

void run(const BconvCall& call, int first, int last) {
  const ConvShape& s = *call.shape;
  for (int row = first; row < last; ++row) {
    const int n = row / s.out_h, y = row % s.out_h;
    for (int x = 0; x < s.out_w; ++x) {
      const size_t pixel = static_cast<size_t>(row) * s.out_w + x;
      for (int o = 0; o < s.channels_out; ++o) {
        finish(call, pixel, o, popcount_products(call, n, y, x, o), correction(call, y, x, o));
      }
    }
  }
}

}  // namespace

const BconvKernel kBconvScalar = {
    kBconvScalarInfo, applies,     applies,    filter_words, pack_filter,
    scratch_words,    input_items, pack_input, run_items,    run};

}  // namespace b1
