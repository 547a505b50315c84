/* The serial ports of boards that QEMU emulates, as a user's firmware would
 * have its own. */
#include "board.h"

#define REGISTER(address) (*(volatile uint32_t*)(address))

#if defined(__riscv) /* a 16550 */

void board_put_byte(uint8_t byte) {
  volatile uint8_t* const uart = (volatile uint8_t*)0x10000000u;
  while (!(uart[5] & 0x20)) {
  }
  uart[0] = byte;
}

uint8_t board_get_byte(void) {
  volatile uint8_t* const uart = (volatile uint8_t*)0x10000000u;
  while (!(uart[5] & 1)) {
  }
  return uart[0];
}

#else /* the CMSDK's of the MPS2 boards */

static volatile uint32_t* uart(void) {
  volatile uint32_t* const registers = (volatile uint32_t*)0x40004000u;
  if (registers[2] == 0) {
    registers[4] = 16; /* the divider of the clock */
    registers[2] = 3;  /* send and receive */
  }
  return registers;
}

void board_put_byte(uint8_t byte) {
  while (uart()[1] & 1) {
  }
  uart()[0] = byte;
}

uint8_t board_get_byte(void) {
  while (!(uart()[1] & 2)) {
  }
  return (uint8_t)uart()[0];
}

#endif
