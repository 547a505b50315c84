// The machine that the delegate runs on, beyond its instruction sets (kernels/isa.h).
#pragma once

#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace onebit {

// Whether a hypervisor says that this is a virtual machine; on x86 only.
inline bool in_virtual_machine() {
#if defined(__x86_64__)
  constexpr unsigned kHypervisor = 1u << 31;
  unsigned eax, ebx, ecx, edx;
  return __get_cpuid(1, &eax, &ebx, &ecx, &edx) != 0 && (ecx & kHypervisor) != 0;
#else
  return false;
#endif
}

}  // namespace onebit
