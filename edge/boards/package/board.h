/* What a board gives the harness: a line out, samples in, and an end. */
#ifndef BOARD_H_
#define BOARD_H_

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The harness: harness.c. */
void harness_run(void);

/* A way out and in: semihosting.c, serial.c or host.c. */
void board_start(void);
void board_write(const char* text);
/* Reads the next sample; 0 where there is none. */
int board_read_sample(void* sample, uint32_t bytes);
void board_exit(int code);

/* The processor: real boards have processor.c. Clock cycles so far, or 0 where none are counted. */
uint32_t board_cycles(void);
/* What it calls itself (CPUID of a Cortex-M), or 0. */
uint32_t board_core(void);

/* A serial port, which a real board provides for serial.c; both wait until they are done. */
void board_put_byte(uint8_t byte);
uint8_t board_get_byte(void);

#ifdef BOARD_HAS_LIMITS
/* Of the linker script. */
extern uint32_t _stack_limit[], _stack_top[];
#endif

#ifdef __cplusplus
}
#endif

#endif /* BOARD_H_ */
