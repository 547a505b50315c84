/* This machine as a board: the reference that real and emulated boards are compared with. */
#include <stdio.h>

#include "board.h"

static FILE* samples;

void board_write(const char* text) { fputs(text, stdout); }

int board_read_sample(void* sample, uint32_t bytes) {
  if (samples == NULL) samples = fopen("inputs.bin", "rb");
  return samples != NULL && fread(sample, 1, bytes, samples) == bytes;
}

uint32_t board_cycles(void) { return 0; }
uint32_t board_core(void) { return 0; }

int main(void) {
  harness_run();
  return 0;
}
