#include "bmaxpool.h"
#include "inline.h"
#include "variants.h"

namespace b1 {
namespace {

void run(const BMaxPoolCall& call, int first, int last) {
  const BMaxPoolShape& s = *call.shape;
  uint32_t* out = call.out + static_cast<size_t>(first) * s.out_w * s.words;
  for (int row = first; row < last; ++row) {
    const int n = row / s.out_h, y = row % s.out_h * s.stride_h - s.pad_top;
    const int top = max(y, 0), bottom = min(y + s.kernel_h, s.in_h);
    for (int column = 0; column < s.out_w; ++column, out += s.words) {
      const int x = column * s.stride_w - s.pad_left;
      const int left = max(x, 0), right = min(x + s.kernel_w, s.in_w);
      for (int i = 0; i < s.words; ++i) out[i] = ~0u;
      for (int iy = top; iy < bottom; ++iy) {
        const size_t line = (static_cast<size_t>(n) * s.in_h + iy) * s.in_w;
        for (int ix = left; ix < right; ++ix) {
          const uint32_t* from = call.in + (line + ix) * s.words;
          for (int i = 0; i < s.words; ++i) out[i] &= from[i];
        }
      }
    }
  }
}

}  // namespace

const BMaxPoolKernel kBMaxPoolScalar = {kBMaxPoolScalarInfo, run};

}  // namespace b1
