// Instruction sets that a kernel variant may need, and what this machine offers.
#pragma once

namespace b1 {

enum class Isa { kScalar, kAvx2, kAvx512Vpopcntdq, kNeon };

// The name that the option `isa` takes and that ends a variant's name.
const char* isa_name(Isa isa);

// Whether `name` names an instruction set; stores it in `isa`.
bool isa_from_name(const char* name, Isa* isa);

// Whether this CPU, and the operating system's register saving, offer `isa`.
bool cpu_has(Isa isa);

}  // namespace b1
