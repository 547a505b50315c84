// Reads integers from a FlexBuffer map: the options of LCE's operators. Never reads out of bounds.
#pragma once

#include <stddef.h>
#include <stdint.h>

namespace onebit {

enum class FlexResult { kFound, kAbsent, kMalformed, kNotInteger };

// Looks `key` up in the map that `buffer` holds. kMalformed: the buffer is truncated or its root is
// not a map. kNotInteger: the value is not an integer or boolean that fits 32 bits.
FlexResult flex_lookup(const void* buffer, size_t length, const char* key, int32_t* value);

}  // namespace onebit
