/* A real board behind a serial port. The host asks by single bytes, the board answers in lines:
 *   R  run the test vectors; lines `start`, `vector` …, `ready`
 *   S  and the bytes of an input: a line `sample`
 *   E  the line `end`, and the board waits for R again
 */
#include "board.h"

void board_start(void) {
  while (board_get_byte() != 'R') {
  }
}

void board_write(const char* text) {
  for (; *text; ++text) board_put_byte((uint8_t)*text);
}

int board_read_sample(void* sample, uint32_t bytes) {
  uint8_t *to = (uint8_t*)sample, asked;
  board_write("{\"kind\": \"ready\"}\n");
  do {
    asked = board_get_byte();
  } while (asked != 'S' && asked != 'E');
  if (asked == 'E') return 0;
  for (; bytes != 0; --bytes) *to++ = board_get_byte();
  return 1;
}

void board_exit(int code) { (void)code; }
