#include "maxpool_rows.h"
#include "variants.h"

namespace b1 {

const MaxPoolKernel kMaxPoolScalar = MaxPoolRows<4>::kernel<kMaxPoolScalarInfo>();

}  // namespace b1
