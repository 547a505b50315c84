// The kernel variants and their choice. Generated from variants.inc.
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

#define B1_KERNEL(kind, constant, isa, name, mr, nr) \
  extern const kind constant;                        \
  constexpr KernelInfo constant##Info = {name, Isa::isa, mr, nr};
#include "variants.inc"
#undef B1_KERNEL

// All variants that were compiled in, in the order of the list.
const KernelInfo* const* all_kernels(int* count);

// Restricts a choice to the variants that this CPU runs or, if `forced`, that `isa` covers.
struct IsaChoice {
  bool forced;
  Isa isa;
};

// The best variant of a kind.
template <class Kernel>
const Kernel* choose_kernel(IsaChoice choice);

// The best variant that takes `shape`. A forced instruction set's own variant is taken even where
// another would be faster; `name`, where not empty, prefers that variant.
const BconvKernel* choose_bconv_kernel(const ConvShape& shape, IsaChoice choice, const char* name);

// The binary convolution of this name, or nullptr.
const BconvKernel* find_bconv_kernel(const char* name);

}  // namespace b1
