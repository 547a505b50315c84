// The padded input of the tiled kernels: a copy with its padding, so that all taps of an output
// pixel lie at offsets that do not depend on the pixel. Where there is no padding, and words need
// no pairing, the input itself serves. Internal linkage, as bconv_tiled.h.
#pragma once

#include <string.h>

#include "bconv.h"

namespace b1 {
namespace {

// Where the words of a pixel's taps lie, counted in words from its first tap: `rows` x `taps` runs
// of `words` contiguous ones. Taps that touch in memory form one run.
struct TapRuns {
  int rows, taps, words;
  ptrdiff_t row_step, tap_step;
};

template <class Tile>
struct PaddedInput {
  // Words of a tap, and of a pixel.
  static int tap_words(const ConvShape& s) { return round_up(s.group_words(), Tile::kPaired + 1); }
  static int pixel_words(const ConvShape& s) { return s.groups * tap_words(s); }

  static bool is_copy(const ConvShape& s) { return Tile::kPaired || s.needs_padding(); }
  static int height(const ConvShape& s) { return is_copy(s) ? s.padded_h() : s.in_h; }
  static int width(const ConvShape& s) { return is_copy(s) ? s.padded_w() : s.in_w; }

  static uint64_t scratch_words(const ConvShape& s) {
    if (!is_copy(s)) return 0;
    return static_cast<uint64_t>(s.batch) * s.padded_h() * s.padded_w() * pixel_words(s);
  }

  static int input_items(const ConvShape& s) { return is_copy(s) ? s.batch * s.padded_h() : 0; }

  // Copies rows; padding is zero bits, that is +1.
  static void pack(const BconvCall& call, int first, int last) {
    const ConvShape& s = *call.shape;
    const int words = pixel_words(s);
    const size_t row_words = static_cast<size_t>(s.padded_w()) * words;
    const size_t left = static_cast<size_t>(s.pad_left) * words;
    const size_t middle = static_cast<size_t>(s.in_w) * words;
    const size_t in_words = static_cast<size_t>(s.in_w) * s.words_in();
    for (int row = first; row < last; ++row) {
      uint32_t* to = call.scratch + row * row_words;
      const int n = row / s.padded_h(), y = row % s.padded_h() - s.pad_top;
      if (y < 0 || y >= s.in_h) {
        memset(to, 0, row_words * sizeof *to);
        continue;
      }
      memset(to, 0, left * sizeof *to);
      copy_words(to + left, call.input + (static_cast<size_t>(n) * s.in_h + y) * in_words, in_words,
                 s.words_in());
      memset(to + left + middle, 0, (row_words - left - middle) * sizeof *to);
    }
  }

  // A paired tile reads (x0, x0 ^ x1) where the input has (x0, x1), and (x, x) where a pixel's last
  // word x is odd.
  static void copy_words(uint32_t* to, const uint32_t* from, size_t count, int pixel) {
    if (!Tile::kPaired) {
      memcpy(to, from, count * sizeof *to);
      return;
    }
    const size_t run = pixel % 2 ? pixel : count;
    for (const uint32_t* end = from + count; from < end; from += run) {
      for (size_t i = 0; i + 1 < run; i += 2, to += 2) {
        uint64_t pair;
        memcpy(&pair, from + i, sizeof pair);
        pair ^= pair << 32;
        memcpy(to, &pair, sizeof pair);
      }
      if (run % 2 == 0) continue;
      to[0] = to[1] = from[run - 1];
      to += 2;
    }
  }

  static TapRuns runs_of(const ConvShape& s) {
    const int words = pixel_words(s);
    // Steps that no tap takes may be larger than the input: 64 bits, also on 32-bit machines.
    const int64_t row_step = static_cast<int64_t>(s.dilation_h) * width(s) * words;
    const int64_t tap_step = static_cast<int64_t>(s.dilation_w) * words;
    if (s.groups == 1 && s.dilation_w == 1) {
      return {s.kernel_h, 1, s.kernel_w * words, static_cast<ptrdiff_t>(row_step), 0};
    }
    return {s.kernel_h, s.kernel_w, tap_words(s), static_cast<ptrdiff_t>(row_step),
            static_cast<ptrdiff_t>(tap_step)};
  }

  // Walks the output pixels in order and knows where their first taps lie.
  class Walker {
   public:
    Walker(const BconvCall& call, int pixel) : call_(call), s_(*call.shape) {
      const int64_t row = static_cast<int64_t>(pixel_words(s_)) * width(s_);
      first_ = is_copy(s_) ? call.scratch : call.input;
      step_ = static_cast<ptrdiff_t>(static_cast<int64_t>(s_.stride_w) * pixel_words(s_));
      row_step_ = static_cast<ptrdiff_t>(s_.stride_h * row);
      image_step_ = static_cast<ptrdiff_t>(height(s_) * row);
      move_to(pixel);
    }

    int pixel() const { return pixel_; }

    void move_to(int pixel) {
      pixel_ = pixel;
      x_ = pixel % s_.out_w;
      y_ = pixel / s_.out_w % s_.out_h;
      image_ = first_ + pixel / s_.out_w / s_.out_h * image_step_;
      tap_ = image_ + y_ * row_step_ + x_ * step_;
    }

    const uint32_t* first_tap() const { return tap_; }

    const int32_t* correction() const {
      const BconvCorrection& c = *call_.correction;
      const size_t entry = c.row_class[y_] * c.col_classes + c.col_class[x_];
      return c.table + entry * channel_capacity(s_.channels_out);
    }

    void advance() {
      ++pixel_;
      tap_ += step_;
      if (++x_ < s_.out_w) return;
      x_ = 0;
      if (++y_ == s_.out_h) {
        y_ = 0;
        image_ += image_step_;
      }
      tap_ = image_ + y_ * row_step_;
    }

   private:
    const BconvCall& call_;
    const ConvShape& s_;
    const uint32_t *first_, *image_, *tap_;
    ptrdiff_t step_, row_step_, image_step_;
    int pixel_, x_, y_;
  };
};

}  // namespace
}  // namespace b1
