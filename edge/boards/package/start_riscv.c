/* Start-up of RISC-V: stack, memory; faults are printed and end the program. */
#include "board.h"

extern uint32_t _data_from[], _data_begin[], _data_end[], _bss_begin[], _bss_end[];

__attribute__((used, noreturn)) static void start(void) {
  const uint32_t* from = _data_from;
  for (uint32_t* to = _data_begin; to < _data_end; ++to) *to = *from++;
  for (uint32_t* to = _bss_begin; to < _bss_end; ++to) *to = 0;
  for (;;) {
    board_start();
    harness_run();
    board_exit(0);
  }
}

__attribute__((used, noreturn, aligned(4))) static void report_fault(void) {
  board_write("{\"fault\": \"trap\"}\n");
  board_exit(2);
  for (;;) {
  }
}

__attribute__((naked, section(".vectors"), used)) void reset(void) {
  __asm__ volatile(
      ".option push\n"
      ".option norelax\n"
      "la gp, __global_pointer$\n"
      ".option pop\n"
      "la sp, _stack_top\n"
      "la t0, report_fault\n"
      ".option arch, +zicsr\n"
      "csrw mtvec, t0\n"
      "j start\n");
}
