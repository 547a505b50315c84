// Small functions for files that are compiled for different instruction sets.
//
// Of an inline function or template that several files compile, the linker keeps one copy, possibly
// one with instructions that the CPU lacks. So functions that these files share are always inlined
// or have internal linkage, and the standard library's templates are not used (a test checks it).
#pragma once

#define B1_INLINE inline __attribute__((always_inline))

namespace b1 {

B1_INLINE constexpr int min(int a, int b) { return b < a ? b : a; }
B1_INLINE constexpr int max(int a, int b) { return a < b ? b : a; }

// Keeps NaN and the sign of zero, as TFLite does.
B1_INLINE constexpr float clamp(float value, float low, float high) {
  value = value < low ? low : value;
  return value > high ? high : value;
}

B1_INLINE constexpr int round_up(int n, int multiple) {
  return (n + multiple - 1) / multiple * multiple;
}
B1_INLINE constexpr int words_for(int channels) { return (channels + 31) / 32; }

}  // namespace b1
