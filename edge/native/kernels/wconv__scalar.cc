#include "variants.h"
#include "wconv_tiled.h"

namespace b1 {

void wdepthwise_rows(const WconvCall& call, int first, int last) {
  const BconvShape& s = *call.shape;
  const int words = words_for(s.channels_out), multiplier = s.channels_out / s.channels_in;
  for (int row = first; row < last; ++row) {
    const int n = row / s.out_h, y = row % s.out_h;
    for (int x = 0; x < s.out_w; ++x) {
      float* out = call.out + (static_cast<size_t>(row) * s.out_w + x) * s.channels_out;
      for (int o = 0; o < s.channels_out; ++o) out[o] = 0;
      for (int tap = 0; tap < s.kernel_h * s.kernel_w; ++tap) {
        const int iy = y * s.stride_h - s.pad_top + tap / s.kernel_w * s.dilation_h;
        const int ix = x * s.stride_w - s.pad_left + tap % s.kernel_w * s.dilation_w;
        if (iy < 0 || iy >= s.in_h || ix < 0 || ix >= s.in_w) continue;
        const float* in =
            call.input + ((static_cast<size_t>(n) * s.in_h + iy) * s.in_w + ix) * s.channels_in;
        const uint32_t* bits = call.filter + static_cast<size_t>(tap) * words;
        for (int o = 0; o < s.channels_out; ++o) {
          const float value = multiplier == 1 ? in[o] : in[o / multiplier];
          out[o] += bits[o / 32] >> (o % 32) & 1 ? -value : value;
        }
      }
      for (int o = 0; o < s.channels_out; ++o) {
        float value = out[o] * call.scale[o] + call.bias[o];
        value = value < call.low ? call.low : value;
        out[o] = value > call.high ? call.high : value;
      }
    }
  }
}

const WconvKernel kWconvScalar =
    TiledWconv<FlippingTile<Isa::kScalar, 8>>::kernel("b1_wconv_1x8__scalar");

}  // namespace b1
