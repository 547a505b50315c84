#include "variants.h"
#include "wdepthwise_rows.h"

namespace b1 {

const WdepthwiseKernel kWdepthwiseNeon = DepthwiseRows<4>::kernel<kWdepthwiseNeonInfo>();

}  // namespace b1
