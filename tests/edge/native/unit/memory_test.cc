#include "delegate/memory.h"

#include <memory>

#include "check.h"

using namespace onebit;

namespace {

void test_array_moves_and_destroys_its_elements() {
  const auto count = std::make_shared<int>(0);
  {
    Array<std::shared_ptr<int>> array;
    for (int i = 0; i < 100; ++i) CHECK(array.push(count));
    CHECK(count.use_count() == 101);
    array.remove(3);
    array.truncate(50);
    CHECK(array.size() == 50 && count.use_count() == 51);
  }
  CHECK(count.use_count() == 1);
}

void test_refused_memory_leaves_what_is_there() {
  Array<int> array;
  for (int i = 0; i < 8; ++i) CHECK(array.push(i));
  allocations_left = 0;
  CHECK(!array.push(8));
  CHECK(array.size() == 8 && array[7] == 7);
  Buffer buffer;
  CHECK(!buffer.reserve(1, 1) && buffer.size() == 0);
  Text text;
  text.append("x");
  allocations_left = -1;
  CHECK(!text.complete());
  CHECK(array.push(8) && array[8] == 8);
}

void test_sizes_that_wrap_are_refused() {
  Buffer buffer;
  CHECK(!buffer.reserve(UINT64_MAX / 4 + 2, 4));
  CHECK(!buffer.reserve(kMaxBytes / 4 + 1, 4));
  CHECK(!buffer.reserve(uint64_t{1} << 62, 4));
  CHECK(buffer.reserve(0, 4));
}

}  // namespace

void test_memory() {
  test_array_moves_and_destroys_its_elements();
  test_refused_memory_leaves_what_is_there();
  test_sizes_that_wrap_are_refused();
}
