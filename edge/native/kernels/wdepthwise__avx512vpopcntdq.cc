#include "variants.h"
#include "wdepthwise_rows.h"

namespace b1 {

const WdepthwiseKernel kWdepthwiseAvx512 = DepthwiseRows<16>::kernel<kWdepthwiseAvx512Info>();

}  // namespace b1
