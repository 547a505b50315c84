#include "variants.h"
#include "wconv_tiled.h"
#include "wdepthwise_rows.h"

namespace b1 {

const WconvKernel kWconvScalar =
    TiledWconv<FlippingTile<Isa::kScalar, 8>>::kernel("b1_wconv_1x8__scalar");
const WdepthwiseKernel kWdepthwiseScalar =
    DepthwiseRows<4>::kernel("b1_wdepthwise__scalar", Isa::kScalar);

}  // namespace b1
