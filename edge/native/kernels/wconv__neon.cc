#include "variants.h"
#include "wconv_tiled.h"

namespace b1 {

const WconvKernel kWconvNeon = TiledWconv<FlippingTile<16>>::kernel<kWconvNeonInfo>();

}  // namespace b1
