/* What a board gives the harness: a line out, samples in, and an end. */
#ifndef BOARD_H_
#define BOARD_H_

#include <stdint.h>

void board_start(void);
void board_write(const char* text);
/* Reads the next sample; 0 where there is none. */
int board_read_sample(void* sample, uint32_t bytes);
void board_exit(int code);
/* Clock cycles so far, or 0 where the board counts none. */
uint32_t board_cycles(void);

int main(void);

/* Of the linker script. */
extern uint32_t _stack_limit[], _stack_top[];

#endif /* BOARD_H_ */
