#include "variants.h"
#include "wconv_tiled.h"

namespace b1 {

const WconvKernel kWconvAvx2 =
    TiledWconv<FlippingTile<Isa::kAvx2, 32>>::kernel("b1_wconv_1x32__avx2");

}  // namespace b1
