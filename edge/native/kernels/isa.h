// Instruction sets that a kernel variant may need, and what this machine offers.
#pragma once

namespace b1 {

enum class Isa {
#define B1_ISA(enumerator, name) enumerator,
#include "isas.inc"
#undef B1_ISA
};
constexpr int kIsas = 0
#define B1_ISA(enumerator, name) +1
#include "isas.inc"
#undef B1_ISA
    ;

// The name that the option `isa` takes and that ends a variant's name.
const char* isa_name(Isa isa);

// Whether `name` names an instruction set; stores it in `isa`.
bool isa_from_name(const char* name, Isa* isa);

// Whether this CPU, and the operating system's register saving, offer `isa`. Linux saves AMX's
// tiles only for processes that ask for it: this asks.
bool cpu_has(Isa isa);

// Whether a process restricted to `isa` may use kernels of `needed`: AMX only multiplies, so that
// it comes with AVX-512.
bool covers(Isa isa, Isa needed);

}  // namespace b1
