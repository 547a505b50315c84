/* Written by `onebit edge harness`: the harness as an Arduino sketch. */
#include "board.h"

void board_put_byte(uint8_t byte) { Serial.write(byte); }

uint8_t board_get_byte(void) {
  int byte;
  while ((byte = Serial.read()) < 0) yield();
  return (uint8_t)byte;
}

void setup() { Serial.begin(115200); }

void loop() {
  board_start();
  harness_run();
  board_exit(0);
}
