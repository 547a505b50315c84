#include "variants.h"
#include "wconv_tiled.h"

namespace b1 {

const WconvKernel kWconvAvx2 = TiledWconv<FlippingTile<32>>::kernel<kWconvAvx2Info>();

}  // namespace b1
