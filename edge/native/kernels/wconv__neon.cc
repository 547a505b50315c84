#include "variants.h"
#include "wconv_tiled.h"

namespace b1 {

const WconvKernel kWconvNeon =
    TiledWconv<FlippingTile<Isa::kNeon, 16>>::kernel("b1_wconv_1x16__neon");

}  // namespace b1
