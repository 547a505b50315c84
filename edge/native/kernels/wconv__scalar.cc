#include "variants.h"
#include "wconv_tiled.h"

namespace b1 {

const WconvKernel kWconvScalar = TiledWconv<FlippingTile<8>>::kernel<kWconvScalarInfo>();

}  // namespace b1
