#include "maxpool_rows.h"
#include "variants.h"

namespace b1 {

const MaxPoolKernel kMaxPoolAvx2 = MaxPoolRows<8>::kernel("b1_maxpool__avx2", Isa::kAvx2);

}  // namespace b1
