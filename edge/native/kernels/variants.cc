#include "variants.h"

#include <string.h>

namespace b1 {
namespace {

const KernelInfo* const kInfos[] = {
#define B1_KERNEL(kind, constant, isa, name, mr, nr) &constant##Info,
#include "variants.inc"
#undef B1_KERNEL
};
constexpr int kCount = sizeof kInfos / sizeof *kInfos;

// Of the variants, those of a kind; nullptr in place of the others.
template <class Kernel>
const Kernel* of_kind(const Kernel* kernel) {
  return kernel;
}
template <class Kernel>
const Kernel* of_kind(const void*) {
  return nullptr;
}
template <class Kernel>
struct Variants {
  const Kernel* const all[kCount] = {
#define B1_KERNEL(kind, constant, isa, name, mr, nr) of_kind<Kernel>(&constant),
#include "variants.inc"
#undef B1_KERNEL
  };
};

bool usable(const KernelInfo& info, IsaChoice choice) {
  return (!choice.forced || covers(choice.isa, info.isa)) && cpu_has(info.isa);
}

}  // namespace

const KernelInfo* const* all_kernels(int* count) {
  *count = kCount;
  return kInfos;
}

// The scalar reference, which every kind has, is always usable.
template <class Kernel>
const Kernel* choose_kernel(IsaChoice choice) {
  for (const Kernel* kernel : Variants<Kernel>().all) {
    if (kernel != nullptr && usable(kernel->info, choice)) return kernel;
  }
  return nullptr;
}

template const BMaxPoolKernel* choose_kernel(IsaChoice);
template const CopyKernel* choose_kernel(IsaChoice);
template const ElementwiseKernel* choose_kernel(IsaChoice);
template const MaxPoolKernel* choose_kernel(IsaChoice);
template const PackKernel* choose_kernel(IsaChoice);
template const UnpackKernel* choose_kernel(IsaChoice);
template const WconvKernel* choose_kernel(IsaChoice);
template const WdepthwiseKernel* choose_kernel(IsaChoice);

const BconvKernel* choose_bconv_kernel(const ConvShape& shape, IsaChoice choice, const char* name) {
  const BconvKernel* chosen = nullptr;
  for (const BconvKernel* kernel : Variants<BconvKernel>().all) {
    if (kernel == nullptr || !usable(kernel->info, choice) || !kernel->applies(shape)) continue;
    if (strcmp(kernel->info.name, name) == 0) return kernel;
    const bool pays = kernel->pays(shape) || (choice.forced && kernel->info.isa == choice.isa);
    if (chosen == nullptr && pays) chosen = kernel;
  }
  return chosen;
}

const BconvKernel* find_bconv_kernel(const char* name) {
  for (const BconvKernel* kernel : Variants<BconvKernel>().all) {
    if (kernel != nullptr && strcmp(kernel->info.name, name) == 0) return kernel;
  }
  return nullptr;
}

}  // namespace b1
