#include <string.h>

#include "inline.h"
#include "unpack.h"
#include "variants.h"

namespace b1 {
namespace {

bool bit(const uint32_t* words, int i) { return words[i / 32] >> (i % 32) & 1; }

template <class T>
void unpack(const uint32_t* from, int rows, int channels, T plus, T minus, T* to) {
  for (int row = 0; row < rows; ++row, from += words_for(channels)) {
    for (int c = 0; c < channels; ++c) *to++ = bit(from, c) ? minus : plus;
  }
}

void to_floats(const uint32_t* from, int rows, int channels, float* to) {
  unpack(from, rows, channels, 1.0f, -1.0f, to);
}

void split_rows(const uint32_t* from, int rows, int parts, int channels, uint32_t* to) {
  const int from_words = words_for(parts * channels), to_words = words_for(channels);
  memset(to, 0, sizeof *to * to_words * parts * static_cast<size_t>(rows));
  for (int row = 0; row < rows; ++row, from += from_words) {
    for (int part = 0; part < parts; ++part, to += to_words) {
      for (int i = 0; i < channels; ++i) {
        to[i / 32] |= static_cast<uint32_t>(bit(from, part * channels + i)) << (i % 32);
      }
    }
  }
}

}  // namespace

const UnpackKernel kUnpackScalar = {kUnpackScalarInfo, to_floats, unpack<int8_t>, split_rows};

}  // namespace b1
