// Small functions for files that are compiled for different instruction sets.
//
// Of an inline function or template that several files compile, the linker keeps one copy, perhaps
// that with instructions which the CPU lacks. So what these files share is always inlined, or has
// internal linkage, and they do not use the standard library's templates (a test looks for copies).
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
