#include "variants.h"
#include "wdepthwise_rows.h"

namespace b1 {

const WdepthwiseKernel kWdepthwiseScalar = DepthwiseRows<4>::kernel<kWdepthwiseScalarInfo>();

}  // namespace b1
