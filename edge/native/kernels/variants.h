// The one table of kernel variants, best first: dispatch, tests and benchmarks read it.
//
// Names are b1_<operation>_<pixels>x<channels>__<isa>; "p2" marks a tile that eats pairs of words.
#pragma once

#include "bconv.h"
#include "bmaxpool.h"
#include "copy.h"
#include "elementwise.h"
#include "maxpool.h"
#include "pack.h"
#include "unpack.h"
#include "wconv.h"

namespace b1 {

extern const BconvKernel kBconvScalar, kBconvAvx2, kBconvPairedAvx2, kBconvAvx512,
    kBconvPairedAvx512, kBconvAmx, kBconvNeon;
extern const BMaxPoolKernel kBMaxPoolScalar;
extern const CopyKernel kCopyScalar;
extern const ElementwiseKernel kAddScalar, kMulScalar;
extern const UnpackKernel kUnpackScalar;
extern const MaxPoolKernel kMaxPoolScalar, kMaxPoolAvx2;
extern const PackKernel kPackScalar, kPackAvx2, kPackAvx512, kPackNeon;
extern const WdepthwiseKernel kWdepthwiseScalar, kWdepthwiseAvx2, kWdepthwiseAvx512,
    kWdepthwiseNeon;
extern const WconvKernel kWconvScalar, kWconvAvx2, kWconvAvx512, kWconvNeon;

// All variants that were compiled in, best first; the last is the scalar reference.
const BconvKernel* const* bconv_kernels(int* count);

// The best variant that this CPU runs and that takes `shape`. `forced` leaves only what
// `isa` covers, and takes its own variant even where another would be faster; `name`, where not
// empty, prefers that variant.
const BconvKernel* choose_bconv_kernel(const BconvShape& shape, bool forced, Isa isa,
                                       const char* name);
const BMaxPoolKernel* choose_bmaxpool_kernel(bool forced, Isa isa);
const CopyKernel* choose_copy_kernel(bool forced, Isa isa);
const ElementwiseKernel* choose_add_kernel(bool forced, Isa isa);
const ElementwiseKernel* choose_mul_kernel(bool forced, Isa isa);
const UnpackKernel* choose_unpack_kernel(bool forced, Isa isa);
const MaxPoolKernel* choose_max_pool_kernel(bool forced, Isa isa);
const PackKernel* choose_pack_kernel(bool forced, Isa isa);
const WconvKernel* choose_wconv_kernel(bool forced, Isa isa);
const WdepthwiseKernel* choose_wdepthwise_kernel(bool forced, Isa isa);

}  // namespace b1
