// Places the values of a partition in memory. Separate from the operators, for unit tests.
#pragma once

#include "graph.h"

namespace onebit {

// Gives values that are neither external nor aliases their offsets in one arena, in which those
// that are never alive together share memory: first fit, largest first. Returns the size of the
// arena, or -1 if it is larger than `kMaxBytes` or memory is refused.
int64_t plan_arena(Array<Value>* values);

}  // namespace onebit
