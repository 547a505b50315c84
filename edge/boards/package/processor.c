/* The cycle counter of a real board; -DBOARD_CYCLES=expression for one that has another. */
#include "board.h"

#if defined(BOARD_CYCLES)

uint32_t board_cycles(void) { return BOARD_CYCLES; }

#elif defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M' && __ARM_ARCH_ISA_THUMB >= 2

#define REGISTER(address) (*(volatile uint32_t*)(address))

/* The data watchpoint unit's, where it has one; M7 keeps it locked. */
uint32_t board_cycles(void) {
  static int is_on;
  if (!is_on) {
    REGISTER(0xE000EDFCu) |= 1u << 24;   /* DEMCR.TRCENA */
    REGISTER(0xE0001FB0u) = 0xC5ACCE55u; /* DWT_LAR */
    REGISTER(0xE0001000u) |= 1u;         /* DWT_CTRL.CYCCNTENA */
    is_on = 1;
  }
  return REGISTER(0xE0001004u); /* DWT_CYCCNT */
}

#elif defined(__riscv)

uint32_t board_cycles(void) {
  uint32_t cycles;
  __asm__ volatile(".option push\n.option arch, +zicsr\ncsrr %0, mcycle\n.option pop\n"
                   : "=r"(cycles));
  return cycles;
}

#else

uint32_t board_cycles(void) { return 0; }

#endif

#if defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M'
uint32_t board_core(void) { return *(volatile uint32_t*)0xE000ED00u; }
#else
uint32_t board_core(void) { return 0; }
#endif
