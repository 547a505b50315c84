// The inputs of the AMX kernel as bytes: where they lie, and their expansion from bits. Internal
// linkage, as the file that includes this compiles it with its own instruction set.
#pragma once

#include <immintrin.h>
#include <string.h>

#include "bconv.h"

namespace b1 {
namespace {

constexpr int kRows = 16;  // of a tile register

// Where positions lie, in bytes.
struct PaddedBytes {
  int phases_h, phases_w, h, w, shared;
  int rows;                    // of all phases and images
  size_t pixel, image, phase;  // image: in positions

  explicit PaddedBytes(const ConvShape& s) {
    phases_h = phases(s.stride_h, s.kernel_h, s.dilation_h);
    phases_w = phases(s.stride_w, s.kernel_w, s.dilation_w);
    h = (s.padded_h() + s.stride_h - 1) / s.stride_h;
    w = (s.padded_w() + s.stride_w - 1) / s.stride_w;
    // The padding on the right of a line is that on the left of the next.
    const int right = s.padded_w() - s.pad_left - s.in_w;
    shared = s.stride_w > 1 ? 0 : min(right, s.pad_left);
    w -= shared;
    pixel = static_cast<size_t>(round_up(s.words_in(), 2)) * 32;
    image = static_cast<size_t>(h) * w;
    phase = image * s.batch * pixel;
    rows = phases_h * phases_w * s.batch * h;
  }

  // The last line shares its padding too, and the last register reads past the end.
  size_t bytes() const { return phases_h * phases_w * phase + (shared + kRows) * pixel; }
  size_t tap(const ConvShape& s, int ky, int kx) const {
    const int y = ky * s.dilation_h, x = kx * s.dilation_w;
    const size_t at = y % s.stride_h * phases_w + x % s.stride_w;
    return at * phase + (static_cast<size_t>(y / s.stride_h) * w + x / s.stride_w) * pixel;
  }

 private:
  // Taps touch no more phases than they have positions.
  static int phases(int stride, int kernel, int dilation) {
    return min(stride, (kernel - 1) * dilation + 1);
  }
};

// Expands rows of phases; what lies outside the image is padding, 0.
void fill(const BconvCall& call, const PaddedBytes& f, int first, int last, uint8_t* padded) {
  const ConvShape& s = *call.shape;
  const int words = s.words_in();
  if (last == f.rows) memset(padded + f.phases_h * f.phases_w * f.phase, 0, f.shared * f.pixel);
  const __m512i one = _mm512_set1_epi8(1);
  for (int row = first; row < last; ++row) {
    const int n = row / f.h % s.batch, phase = row / f.h / s.batch;
    const int y = row % f.h * s.stride_h + phase / f.phases_w - s.pad_top;
    uint8_t* to = padded + f.phase * phase + f.pixel * f.w * (row - s.batch * f.h * phase);
    if (y < 0 || y >= s.in_h) {
      memset(to, 0, f.pixel * f.w);
      continue;
    }
    const uint32_t* line = call.input + (static_cast<size_t>(n) * s.in_h + y) * s.in_w * words;
    for (int i = 0; i < f.w; ++i, to += f.pixel) {
      const int x = i * s.stride_w + phase % f.phases_w - s.pad_left;
      if (x < 0 || x >= s.in_w) {
        memset(to, 0, f.pixel);
        continue;
      }
      const uint32_t* from = line + static_cast<size_t>(x) * words;
      for (int word = 0; word < words; word += 2) {
        uint64_t bits = 0;
        memcpy(&bits, from + word, word + 1 < words ? 8 : 4);
        _mm512_storeu_si512(to + 32 * word, _mm512_maskz_mov_epi8(bits, one));
      }
    }
  }
}

}  // namespace
}  // namespace b1
