#include "variants.h"
#include "wdepthwise_rows.h"

namespace b1 {

const WdepthwiseKernel kWdepthwiseAvx2 = DepthwiseRows<8>::kernel<kWdepthwiseAvx2Info>();

}  // namespace b1
