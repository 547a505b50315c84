#include "isa.h"

#include <string.h>
#if defined(__x86_64__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace b1 {

namespace {
constexpr const char* kNames[] = {
#define B1_ISA(enumerator, name) name,
#include "isas.inc"
#undef B1_ISA
};
}  // namespace

const char* isa_name(Isa isa) { return kNames[static_cast<int>(isa)]; }

bool covers(Isa isa, Isa needed) {
  return isa == needed || needed == Isa::kScalar ||
         (isa == Isa::kAmx && needed == Isa::kAvx512Vpopcntdq);
}

bool isa_from_name(const char* name, Isa* isa) {
  for (int i = 0; i < kIsas; ++i) {
    if (strcmp(name, kNames[i]) == 0) {
      *isa = static_cast<Isa>(i);
      return true;
    }
  }
  return false;
}

#if defined(__x86_64__)

namespace {

struct Registers {
  unsigned eax, ebx, ecx, edx;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  __asm__("cpuid" : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx) : "a"(leaf), "c"(subleaf));
  return r;
}

// Which register states the operating system saves at a task switch (XCR0).
unsigned saved_state() {
  unsigned low, high;
  __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return low;
}

// Linux 5.16 grants the 8 KB of tile state to a process that asks for it (Documentation/arch/x86/
// xstate.rst); older kernels, and sandboxes that forbid it, answer with an error.
bool may_use_tiles() {
  constexpr long kRequestPermission = 0x1023, kTileData = 18;
  return syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
}

bool detect(Isa isa) {
  if (isa == Isa::kScalar) return true;
  if (isa == Isa::kNeon || cpuid(0, 0).eax < 7) return false;
  constexpr unsigned kOsxsave = 1u << 27, kYmm = 0x6, kZmm = 0xE6;
  if (!(cpuid(1, 0).ecx & kOsxsave)) return false;
  const Registers extended = cpuid(7, 0);
  const bool avx2 = (extended.ebx & (1u << 5)) && (saved_state() & kYmm) == kYmm;
  if (isa == Isa::kAvx2) return avx2;
  constexpr unsigned kF = 1u << 16, kDq = 1u << 17, kBw = 1u << 30, kVl = 1u << 31;
  constexpr unsigned kVpopcntdq = 1u << 14;
  constexpr unsigned kNeeded = kF | kDq | kBw | kVl;
  const bool avx512 = avx2 && (saved_state() & kZmm) == kZmm &&
                      (extended.ebx & kNeeded) == kNeeded && (extended.ecx & kVpopcntdq);
  if (isa == Isa::kAvx512Vpopcntdq || !avx512) return avx512;
  constexpr unsigned kTile = 1u << 24, kInt8 = 1u << 25, kTiles = 0x60000;
  return (extended.edx & kTile) && (extended.edx & kInt8) && (saved_state() & kTiles) == kTiles &&
         may_use_tiles();
}

}  // namespace

// Asks once: a virtual machine's supervisor answers CPUID, which takes tens of microseconds.
// Threads that race here store the same answer.
bool cpu_has(Isa isa) {
  static int known[kIsas];  // 0 not asked yet, 1 no, 2 yes
  int* answer = &known[static_cast<int>(isa)];
  if (__atomic_load_n(answer, __ATOMIC_RELAXED) == 0) {
    __atomic_store_n(answer, detect(isa) ? 2 : 1, __ATOMIC_RELAXED);
  }
  return __atomic_load_n(answer, __ATOMIC_RELAXED) == 2;
}

#elif defined(__aarch64__)

bool cpu_has(Isa isa) { return isa == Isa::kScalar || isa == Isa::kNeon; }

#elif defined(__arm__)

}  // namespace b1

#include <sys/auxv.h>

namespace b1 {

bool cpu_has(Isa isa) {
  constexpr unsigned long kHwcapNeon = 1ul << 12;
  return isa == Isa::kScalar || (isa == Isa::kNeon && (getauxval(AT_HWCAP) & kHwcapNeon));
}

#else

bool cpu_has(Isa isa) { return isa == Isa::kScalar; }

#endif

}  // namespace b1
