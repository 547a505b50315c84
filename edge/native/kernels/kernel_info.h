// The description of a kernel variant.
#pragma once

#include "isa.h"

namespace b1 {

struct KernelInfo {
  const char* name;
  Isa isa;
  int mr, nr;  // rows or pixels, and channels, that it computes at a time
};

}  // namespace b1
