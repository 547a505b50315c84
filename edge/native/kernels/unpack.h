// Bits back to values, and from one grouping into words to another.
#pragma once

#include <stdint.h>

#include "kernel_info.h"

namespace b1 {

// A variant. Each row of `channels` bits fills whole words.
struct UnpackKernel {
  KernelInfo info;
  void (*to_floats)(const uint32_t* from, int rows, int channels, float* to);  // ±1
  void (*to_bytes)(const uint32_t* from, int rows, int channels, int8_t plus, int8_t minus,
                   int8_t* to);
  // [rows, parts * channels] bits -> [rows, parts, channels] bits.
  void (*split_rows)(const uint32_t* from, int rows, int parts, int channels, uint32_t* to);
};

}  // namespace b1
