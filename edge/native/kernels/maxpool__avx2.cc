#include "maxpool_rows.h"
#include "variants.h"

namespace b1 {

const MaxPoolKernel kMaxPoolAvx2 = MaxPoolRows<8>::kernel<kMaxPoolAvx2Info>();

}  // namespace b1
