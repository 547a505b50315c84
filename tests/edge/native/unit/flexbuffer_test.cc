#include "delegate/flexbuffer.h"

#include <stdlib.h>
#include <string.h>

#include <memory>

#include "check.h"
#include "files.h"

using onebit::flex_lookup;
using onebit::FlexResult;

namespace {

// {"a": -7, "big": 2^40, "s": "x", "t": true, "u": 300, "i": -70000 (indirect)}, by flatbuffers.
const unsigned char kMap[] = {
    97,  0,   98,  105, 103, 0,   115, 0,  1,  120, 0,  116, 0,  117, 0,  105, 0,  0, 0,
    0,   144, 238, 254, 255, 6,   25,  24, 12, 22,  18, 17,  0,  7,   0,  0,   0,  0, 0,
    0,   0,   1,   0,   0,   0,   0,   0,  0,  0,   6,  0,   0,  0,   0,  0,   0,  0, 249,
    255, 255, 255, 255, 255, 255, 255, 0,  0,  0,   0,  0,   1,  0,   0,  52,  0,  0, 0,
    0,   0,   0,   0,   71,  0,   0,   0,  0,  0,   0,  0,   1,  0,   0,  0,   0,  0, 0,
    0,   44,  1,   0,   0,   0,   0,   0,  0,  7,   7,  26,  20, 107, 11, 54,  39, 1};

FlexResult look(const unsigned char* data, size_t size, const char* key, int* value) {
  // A copy of its exact size, so that the sanitizers see each read beyond it.
  const std::unique_ptr<unsigned char[]> copy(new unsigned char[size]);
  memcpy(copy.get(), data, size);
  return flex_lookup(copy.get(), size, key, value);
}

void test_values_of_all_kinds_are_read() {
  int value = 0;
  CHECK(look(kMap, sizeof kMap, "a", &value) == FlexResult::kFound && value == -7);
  CHECK(look(kMap, sizeof kMap, "u", &value) == FlexResult::kFound && value == 300);
  CHECK(look(kMap, sizeof kMap, "i", &value) == FlexResult::kFound && value == -70000);
  CHECK(look(kMap, sizeof kMap, "t", &value) == FlexResult::kFound && value == 1);
  CHECK(look(kMap, sizeof kMap, "s", &value) == FlexResult::kNotInteger);
  CHECK(look(kMap, sizeof kMap, "big", &value) == FlexResult::kNotInteger);
  CHECK(look(kMap, sizeof kMap, "none", &value) == FlexResult::kAbsent);
  CHECK(flex_lookup(nullptr, 0, "a", &value) == FlexResult::kMalformed);
}

void test_damaged_buffers_are_read_within_their_bounds() {
  int value;
  for (size_t size = 0; size < sizeof kMap; ++size) look(kMap, size, "a", &value);
  srand(1);  // NOLINT(bugprone-random-generator-seed): the same numbers in each run
  unsigned char damaged[sizeof kBconvOptions];
  for (int round = 0; round < 200000; ++round) {
    memcpy(damaged, kBconvOptions, sizeof damaged);
    for (int i = rand() % 4; i >= 0; --i) damaged[rand() % sizeof damaged] = rand() & 255;
    look(damaged, 1 + rand() % sizeof damaged, round % 2 ? "padding" : "stride_width", &value);
  }
}

}  // namespace

void test_flexbuffer() {
  test_values_of_all_kinds_are_read();
  test_damaged_buffers_are_read_within_their_bounds();
}
