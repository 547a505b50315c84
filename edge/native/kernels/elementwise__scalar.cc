#include "elementwise.h"
#include "inline.h"
#include "variants.h"

namespace b1 {
namespace {

// Values that stay in the first-level cache between sum and packing.
constexpr int kTile = kElementwiseScalarInfo.nr;

// Walks the rows of the result in order and knows where the operands' rows begin.
class Rows {
 public:
  Rows(const ElementwiseCall& call, int row) : call_(call), a_(call.a.data), b_(call.b.data) {
    for (int i = call.rank - 1; i >= 0; --i) {
      index_[i] = row % call.dims[i];
      row /= call.dims[i];
      a_ += index_[i] * call.a.steps[i];
      b_ += index_[i] * call.b.steps[i];
    }
  }
  void advance() {
    for (int i = call_.rank - 1; i >= 0; --i) {
      a_ += call_.a.steps[i];
      b_ += call_.b.steps[i];
      if (++index_[i] < call_.dims[i]) return;
      a_ -= call_.a.steps[i] * call_.dims[i];
      b_ -= call_.b.steps[i] * call_.dims[i];
      index_[i] = 0;
    }
  }
  const float* a() const { return a_; }
  const float* b() const { return b_; }

 private:
  const ElementwiseCall& call_;
  int index_[8];
  const float *a_, *b_;
};

void repeat(float value, int count, float* to) {
  for (int i = 0; i < count; ++i) to[i] = value;
}

template <bool kMultiply>
void compute(const ElementwiseCall& call, const float* a, const float* b, const float* offset,
             int count, float* out) {
  for (int i = 0; i < count; ++i) {
    float value = kMultiply ? a[i] * b[i] : a[i] + b[i];
    if (offset) value = value + offset[i];
    out[i] = clamp(value, call.low, call.high);
  }
}

// In tiles of a row, which are packed while they are still in the cache.
template <bool kMultiply>
void run(const ElementwiseCall& call, int first, int last) {
  const size_t words = words_for(call.channels);
  float a_repeated[kTile], b_repeated[kTile], tile[kTile];
  Rows at(call, first);
  for (int row = first; row < last; ++row, at.advance()) {
    if (call.a.one_channel) repeat(*at.a(), min(kTile, call.channels), a_repeated);
    if (call.b.one_channel) repeat(*at.b(), min(kTile, call.channels), b_repeated);
    for (int c = 0; c < call.channels; c += kTile) {
      const int count = min(kTile, call.channels - c);
      const size_t begin = static_cast<size_t>(row) * call.channels + c;
      float* out = call.out ? call.out + begin : tile;
      compute<kMultiply>(call, call.a.one_channel ? a_repeated : at.a() + c,
                         call.b.one_channel ? b_repeated : at.b() + c,
                         call.offset ? call.offset + c : nullptr, count, out);
      if (call.bits) call.pack->pack_float(out, count, 1, count, call.bits + row * words + c / 32);
    }
  }
}

}  // namespace

const ElementwiseKernel kElementwiseScalar = {kElementwiseScalarInfo, run<false>, run<true>};

}  // namespace b1
