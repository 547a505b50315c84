#include "delegate/plan.h"

#include <stdlib.h>
#include <time.h>

#include "check.h"

using onebit::Array;
using onebit::Value;

namespace {

Value value(size_t bytes, int first, int last) {
  Value v;
  v.bytes = bytes;
  v.first_use = first;
  v.last_use = last;
  return v;
}

// Values that are alive at once lie apart, on cache lines, within the arena.
void check_placement(const Array<Value>& values, int64_t total) {
  for (int i = 0; i < values.size(); ++i) {
    const Value& a = values[i];
    if (a.external || a.alias_of >= 0) continue;
    CHECK(a.offset % onebit::kCacheLine == 0);
    CHECK(static_cast<int64_t>(a.offset + a.bytes) <= total);
    for (int j = 0; j < i; ++j) {
      const Value& b = values[j];
      if (b.external || b.alias_of >= 0 || a.first_use > b.last_use || b.first_use > a.last_use) {
        continue;
      }
      CHECK(a.offset + a.bytes <= b.offset || b.offset + b.bytes <= a.offset);
    }
  }
}

void test_random_plans() {
  srand(1);  // NOLINT(bugprone-random-generator-seed): the same numbers in each run
  for (int round = 0; round < 200; ++round) {
    Array<Value> values;
    size_t largest = 0, sum = 0;
    for (int i = rand() % 60; i >= 0; --i) {
      const int first = rand() % 40;
      Value v = value(rand() % 1000, first, first + rand() % 10);
      v.external = rand() % 8 == 0;
      if (!v.external) {
        const size_t bytes = (v.bytes + onebit::kCacheLine - 1) / onebit::kCacheLine * 64;
        largest = bytes > largest ? bytes : largest;
        sum += bytes;
      }
      CHECK(values.push(v));
    }
    const int64_t total = onebit::plan_arena(&values);
    CHECK(total >= static_cast<int64_t>(largest) && total <= static_cast<int64_t>(sum));
    check_placement(values, total);
  }
}

void test_values_share_memory_one_after_the_other() {
  Array<Value> values;
  for (int i = 0; i < 10; ++i) CHECK(values.push(value(640, 2 * i, 2 * i + 1)));
  CHECK(onebit::plan_arena(&values) == 640);
}

void test_gap_between_two_values_is_used() {
  Array<Value> values;
  CHECK(values.push(value(256, 0, 9)));
  CHECK(values.push(value(192, 0, 1)));  // its place is free later
  CHECK(values.push(value(128, 0, 9)));
  CHECK(values.push(value(64, 5, 9)));
  CHECK(onebit::plan_arena(&values) == 256 + 192 + 128);
  CHECK(values[3].offset == 256);
}

void test_sums_beyond_memory_are_refused() {
  Array<Value> values;
  for (int i = 0; i < 3; ++i) CHECK(values.push(value(onebit::kMaxBytes / 2, 0, 1)));
  CHECK(onebit::plan_arena(&values) == -1);
}

void test_many_values_take_quadratic_time() {
  Array<Value> values;
  for (int i = 0; i < 4000; ++i) CHECK(values.push(value(64 + i % 7 * 64, 0, 8000)));
  const clock_t start = clock();
  const int64_t total = onebit::plan_arena(&values);
  // A plan that begins again after each collision takes a minute.
  CHECK(clock() - start < 5 * CLOCKS_PER_SEC);
  CHECK(total > 0);
}

}  // namespace

void test_plan() {
  test_random_plans();
  test_values_share_memory_one_after_the_other();
  test_gap_between_two_values_is_used();
  test_sums_beyond_memory_are_refused();
  test_many_values_take_quadratic_time();
}
