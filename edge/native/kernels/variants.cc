#include "variants.h"

#include <string.h>

namespace b1 {
namespace {

const BconvKernel* const kBconv[] = {
#if defined(__x86_64__)
    &kBconvAmx,    &kBconvPairedAvx512, &kBconvAvx512, &kBconvPairedAvx2, &kBconvAvx2,
#elif defined(ONEBIT_NEON)
    &kBconvNeon,
#endif
    &kBconvScalar,
};

const MaxPoolKernel* const kMaxPool[] = {
#if defined(__x86_64__)
    &kMaxPoolAvx2,
#endif
    &kMaxPoolScalar,
};

const PackKernel* const kPack[] = {
#if defined(__x86_64__)
    &kPackAvx512,
    &kPackAvx2,
#elif defined(ONEBIT_NEON)
    &kPackNeon,
#endif
    &kPackScalar,
};

const WconvKernel* const kWconv[] = {
#if defined(__x86_64__)
    &kWconvAvx512,
    &kWconvAvx2,
#elif defined(ONEBIT_NEON)
    &kWconvNeon,
#endif
    &kWconvScalar,
};

const WdepthwiseKernel* const kWdepthwise[] = {
#if defined(__x86_64__)
    &kWdepthwiseAvx512,
    &kWdepthwiseAvx2,
#elif defined(ONEBIT_NEON)
    &kWdepthwiseNeon,
#endif
    &kWdepthwiseScalar,
};

template <class Kernel>
bool usable(const Kernel& kernel, bool forced, Isa isa) {
  if (forced && !covers(isa, kernel.isa)) return false;
  return cpu_has(kernel.isa);
}

// The scalar reference, which is the last of each table, is always usable.
template <class Kernel, int kCount>
const Kernel* best_of(const Kernel* const (&table)[kCount], bool forced, Isa isa) {
  int i = 0;
  while (i + 1 < kCount && !usable(*table[i], forced, isa)) ++i;
  return table[i];
}

}  // namespace

const BconvKernel* const* bconv_kernels(int* count) {
  *count = sizeof kBconv / sizeof *kBconv;
  return kBconv;
}

const BconvKernel* choose_bconv_kernel(const BconvShape& shape, bool forced, Isa isa,
                                       const char* name) {
  const BconvKernel* chosen = &kBconvScalar;
  for (const BconvKernel* kernel : kBconv) {
    if (!usable(*kernel, forced, isa) || !kernel->applies(shape)) continue;
    if (strcmp(kernel->name, name) == 0) return kernel;
    const bool pays = kernel->pays(shape) || (forced && kernel->isa == isa);
    if (chosen == &kBconvScalar && pays) chosen = kernel;
  }
  return chosen;
}

const BMaxPoolKernel* choose_bmaxpool_kernel(bool, Isa) { return &kBMaxPoolScalar; }
const CopyKernel* choose_copy_kernel(bool, Isa) { return &kCopyScalar; }
const ElementwiseKernel* choose_add_kernel(bool, Isa) { return &kAddScalar; }
const ElementwiseKernel* choose_mul_kernel(bool, Isa) { return &kMulScalar; }
const UnpackKernel* choose_unpack_kernel(bool, Isa) { return &kUnpackScalar; }
const MaxPoolKernel* choose_max_pool_kernel(bool forced, Isa isa) {
  return best_of(kMaxPool, forced, isa);
}

const PackKernel* choose_pack_kernel(bool forced, Isa isa) { return best_of(kPack, forced, isa); }

const WconvKernel* choose_wconv_kernel(bool forced, Isa isa) {
  return best_of(kWconv, forced, isa);
}

const WdepthwiseKernel* choose_wdepthwise_kernel(bool forced, Isa isa) {
  return best_of(kWdepthwise, forced, isa);
}

}  // namespace b1
