/* Start-up of Cortex-M: vectors, memory, FPU; faults are printed and end the program. */
#include "board.h"

extern uint32_t _data_from[], _data_begin[], _data_end[], _bss_begin[], _bss_end[];

static void put_hex(const char* name, uint32_t value) {
  char text[] = "00000000\"";
  for (int i = 0; i < 8; ++i) text[i] = "0123456789abcdef"[(value >> (28 - 4 * i)) & 15];
  board_write(name);
  board_write(text);
}

/* r0 is the frame that the processor pushed: r0-r3, r12, lr, pc, psr. */
__attribute__((used)) static void report_fault(const uint32_t* frame) {
  board_write("{\"fault\": \"hard fault\"");
  put_hex(", \"pc\": \"0x", frame[6]);
  put_hex(", \"lr\": \"0x", frame[5]);
#if __ARM_ARCH >= 7
  put_hex(", \"cfsr\": \"0x", *(volatile uint32_t*)0xE000ED28u);
#endif
  board_write("}\n");
  board_exit(2);
  for (;;) {
  }
}

__attribute__((naked)) static void fault(void) {
  __asm__ volatile(
      "ldr r0, =_stack_top\n" /* the stack may be what overflowed: report on a fresh one */
      "mov r1, sp\n"
      "mov sp, r0\n"
      "mov r0, r1\n"
      "ldr r1, =report_fault\n"
      "bx r1\n");
}

__attribute__((noreturn)) void reset(void) {
#if defined(__ARM_FP)
  *(volatile uint32_t*)0xE000ED88u |= 0xFu << 20; /* CPACR: full access to the FPU and MVE */
  __asm__ volatile("dsb\n isb");
#endif
  const uint32_t* from = _data_from;
  for (uint32_t* to = _data_begin; to < _data_end; ++to) *to = *from++;
  for (uint32_t* to = _bss_begin; to < _bss_end; ++to) *to = 0;
  for (;;) {
    board_start();
    harness_run();
    board_exit(0);
  }
}

typedef void (*vector)(void);

__attribute__((section(".vectors"), used)) const vector vectors[16] = {
    (vector)(uintptr_t)_stack_top,
    (vector)reset,
    fault,
    fault,
    fault,
    fault,
    fault,
    fault,
    0,
    0,
    0,
    fault,
    fault,
    0,
    fault,
    fault,
};
