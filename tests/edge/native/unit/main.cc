// Unit tests of the delegate's parts that no file reaches: `unit_tests [NAME ...]`.
#include <string.h>

#include "check.h"

int failures = 0;

namespace onebit {
int allocations_left = -1;
}  // namespace onebit

namespace {

struct Test {
  const char* name;
  void (*run)();
};
const Test kTests[] = {{"plan", test_plan},
                       {"flexbuffer", test_flexbuffer},
                       {"memory", test_memory},
                       {"pool", test_pool},
                       {"delegate", test_delegate}};

bool wanted(const char* name, int count, char** names) {
  for (int i = 1; i < count; ++i) {
    if (strcmp(names[i], name) == 0) return true;
  }
  return count < 2;
}

}  // namespace

int main(int count, char** names) {
  for (const Test& test : kTests) {
    if (!wanted(test.name, count, names)) continue;
    const int before = failures;
    test.run();
    printf("%s: %s\n", test.name, failures == before ? "ok" : "FAILED");
  }
  return failures == 0 ? 0 : 1;
}
