// Packing values to bits: bit = value < 0 (float; ±0 and NaN are +1) or value < zero_point (int8).
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "kernel_info.h"

namespace b1 {

// A variant. Each of `rows` rows of `channels` values fills whole words.
// `pack_affine` packs x * scale + offset, each rounded to float, with one scale and offset a
// channel. Rows of floats begin `stride` values apart.
struct PackKernel {
  KernelInfo info;
  void (*pack_float)(const float* from, size_t stride, int rows, int channels, uint32_t* to);
  void (*pack_affine)(const float* from, size_t stride, int rows, int channels, const float* scale,
                      const float* offset, uint32_t* to);
  void (*pack_int8)(const int8_t* from, int rows, int channels, int32_t zero_point, uint32_t* to);
};

}  // namespace b1
