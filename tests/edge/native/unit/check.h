// The unit tests' checks: a failed one prints its place, and the program exits with 1 at its end.
#pragma once

#include <stdio.h>

extern int failures;

#define CHECK(condition)                                                      \
  do {                                                                        \
    if (!(condition)) {                                                       \
      ++failures;                                                             \
      fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
    }                                                                         \
  } while (false)

void test_plan();
void test_flexbuffer();
void test_memory();
void test_pool();
void test_delegate();
