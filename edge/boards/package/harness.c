/* Runs an exported network on its test vectors and on samples; prints a JSON line for each.
 *
 * network.h has `#define NETWORK name` and `#define NETWORK_UPPER NAME`; the exported folder's
 * vectors.h gives inputs and expected outputs.
 */
#include <string.h>

#include "board.h"
#include "network.h"
#include "vectors.h"

#define JOIN_(a, b) a##b
#define JOIN(a, b) JOIN_(a, b)
#define TEXT_(a) #a
#define TEXT(a) TEXT_(a)
#define INPUT JOIN(NETWORK, _input_t)
#define OUTPUT JOIN(NETWORK, _output_t)
#define PAINT 0xa5c35a3cu
#define PAINTED_WORDS 16384u /* at most */
#define FRAME_WORDS 48u      /* of the functions here, which is not painted */

static INPUT input;
static OUTPUT output;

/* The plugin of the emulator looks for these two: what runs between them is counted. */
__attribute__((noinline, used)) void harness_begin(void) { __asm__ volatile("" ::: "memory"); }
__attribute__((noinline, used)) void harness_end(void) { __asm__ volatile("" ::: "memory"); }

static void put_number(const char* name, uint32_t value) {
  char digits[12], *p = digits + sizeof digits - 1;
  *p = 0;
  do {
    *--p = (char)('0' + value % 10);
    value /= 10;
  } while (value);
  board_write(name);
  board_write(p);
}

static void put_hex(const void* data, uint32_t bytes) {
  static const char digit[] = "0123456789abcdef";
  char text[129];
  const uint8_t* p = (const uint8_t*)data;
  while (bytes) {
    uint32_t i = 0;
    for (; bytes && i < 128; --bytes, ++p) {
      text[i++] = digit[*p >> 4];
      text[i++] = digit[*p & 15];
    }
    text[i] = 0;
    board_write(text);
  }
}

#ifndef BOARD_HAS_LIMITS /* no linker script of ours says where the stack ends */

static int run_once(uint32_t* stack_bytes, uint32_t* cycles) {
  *stack_bytes = 0;
  const uint32_t begin = board_cycles();
  const int code = JOIN(NETWORK, _invoke)(&input, &output);
  *cycles = board_cycles() - begin;
  return code;
}

#else

/* The stack that an inference needs is measured by the paint that it leaves. */
static int run_once(uint32_t* stack_bytes, uint32_t* cycles) {
  volatile uint32_t* const top = (uint32_t*)__builtin_frame_address(0);
  const uint32_t room = (uint32_t)(top - _stack_limit);
  volatile uint32_t* const from = top - (room < PAINTED_WORDS ? room : PAINTED_WORDS);
  for (volatile uint32_t* p = from; p < top - FRAME_WORDS; ++p) *p = PAINT;
  const uint32_t begin = board_cycles();
  harness_begin();
  const int code = JOIN(NETWORK, _invoke)(&input, &output);
  harness_end();
  *cycles = board_cycles() - begin;
  volatile uint32_t* p = from;
  while (p < top - FRAME_WORDS && *p == PAINT) ++p;
  *stack_bytes = (uint32_t)(top - p) * 4;
  return code;
}

#endif

static void report(const char* kind, uint32_t index, const char* agrees, int code,
                   uint32_t stack_bytes, uint32_t cycles) {
  board_write("{\"kind\": \"");
  board_write(kind);
  put_number("\", \"index\": ", index);
  put_number(", \"code\": ", (uint32_t)(code < 0 ? -code : code));
  board_write(", \"agrees\": ");
  board_write(agrees);
  put_number(", \"stack_bytes\": ", stack_bytes);
  put_number(", \"cycles\": ", cycles);
  board_write(", \"output\": \"");
  put_hex(&output, sizeof output);
  board_write("\"}\n");
}

void harness_run(void) {
  uint32_t stack = 0, cycles = 0;
  board_write("{\"kind\": \"start\", \"network\": \"" TEXT(NETWORK) "\", \"sha256\": \"");
  board_write(JOIN(NETWORK_UPPER, _SHA256));
  put_number("\", \"arena_bytes\": ", JOIN(NETWORK_UPPER, _ARENA_BYTES));
  put_number(", \"input_bytes\": ", sizeof input);
  put_number(", \"output_bytes\": ", sizeof output);
  put_number(", \"core\": ", board_core());
  board_write("}\n");
  for (uint32_t v = 0; v < VECTOR_COUNT; ++v) {
    draw_input(vector_seeds[v], &input);
    memset(&output, 0, sizeof output);
    const int code = run_once(&stack, &cycles);
    report("vector", v, agrees(&output, &vector_outputs[v]) ? "true" : "false", code, stack,
           cycles);
  }
  for (uint32_t s = 0; board_read_sample(&input, sizeof input); ++s) {
    const int code = run_once(&stack, &cycles);
    report("sample", s, "null", code, stack, cycles);
  }
  board_write("{\"kind\": \"end\"}\n");
}
