// How the work of a convolution is dealt out: items are tiles of pixels, or, where there are few,
// parts of a tile's blocks of channels.
#pragma once

#include <string.h>

#include "bconv.h"

namespace b1 {
namespace {

// Tiles x blocks that are computed in one go.
struct Rectangle {
  int first_tile, last_tile, first_block, last_block;
};

constexpr int kEnoughTiles = 8;  // for threads to share

// Into how many items a tile's blocks are split where there are not enough tiles.
inline int splits_of(int tiles, int blocks) {
  return min((kEnoughTiles + tiles - 1) / tiles, blocks);
}

// Items [first, last) of tiles x splits, the tile being the slower index, as rectangles.
template <class Function>
void for_each_rectangle(int first, int last, int splits, int blocks, Function function) {
  while (first < last) {
    const int tile = first / splits, split = first % splits;
    const bool whole = split == 0 && last - first >= splits;
    const int end_split = whole ? splits : min(split + last - first, splits);
    const int end_tile = whole ? tile + (last - first) / splits : tile + 1;
    function(Rectangle{tile, end_tile, blocks * split / splits, blocks * end_split / splits});
    first = whole ? end_tile * splits : first + end_split - split;
  }
}

// Threads that compute different blocks of the same pixels write words of the same cache lines.
// Then each computes its words here, and copies them once.
template <int kMr>
class SplitBits {
 public:
  // `pixels` outputs from `first_pixel` on, of which `r` computes some blocks.
  SplitBits(const BconvCall& call, const Rectangle& r, size_t first_pixel, int pixels)
      : words_(words_for(call.shape->channels_out)), r_(r), pixels_(pixels), local_(call) {
    out_ = call.out_bits + first_pixel * words_;
    const bool some = r.last_block - r.first_block < words_;
    used_ = call.out_bits && some && words_ <= kMaxWords && call.shape->groups == 1;
    if (used_) local_.out_bits = bits_ - first_pixel * words_;
  }
  const BconvCall& call() const { return local_; }
  void store() const {
    if (!used_) return;
    for (int i = 0; i < pixels_; ++i) {
      const size_t at = static_cast<size_t>(i) * words_ + r_.first_block;
      memcpy(out_ + at, bits_ + at, (r_.last_block - r_.first_block) * sizeof *out_);
    }
  }

 private:
  static constexpr int kMaxWords = 64;
  const int words_;
  const Rectangle r_;
  const int pixels_;
  bool used_;
  BconvCall local_;
  uint32_t* out_;
  uint32_t bits_[kMr * kMaxWords];
};

}  // namespace
}  // namespace b1
