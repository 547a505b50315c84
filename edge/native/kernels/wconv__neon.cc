#include "variants.h"
#include "wconv_tiled.h"
#include "wdepthwise_rows.h"

namespace b1 {

const WconvKernel kWconvNeon =
    TiledWconv<FlippingTile<Isa::kNeon, 16>>::kernel("b1_wconv_1x16__neon");

const WdepthwiseKernel kWdepthwiseNeon =
    DepthwiseRows<4>::kernel("b1_wdepthwise__neon", Isa::kNeon);

}  // namespace b1
