#include "variants.h"
#include "wconv_tiled.h"
#include "wdepthwise_rows.h"

namespace b1 {

const WconvKernel kWconvAvx2 =
    TiledWconv<FlippingTile<Isa::kAvx2, 32>>::kernel("b1_wconv_1x32__avx2");

const WdepthwiseKernel kWdepthwiseAvx2 =
    DepthwiseRows<8>::kernel("b1_wdepthwise__avx2", Isa::kAvx2);

}  // namespace b1
