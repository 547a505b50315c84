// The driver of every weight-only convolution: for each output pixel, and for a few words of its
// taps at a time, a `Tile` adds the signed inputs to blocks of kLanes output channels. The output
// row is the accumulator, so that nothing is allocated.
//
// A `Tile` provides:
//   kLanes             filters are interleaved by kLanes channels, as in bconv_tiled.h
//   struct Inputs      what it keeps of up to kWords * 32 inputs
//   static void load(const float* x, int words, Inputs*)
//   static void add(const Inputs&, int words, const uint32_t* filter, float* sums)
// Internal linkage, as each file compiles it with its own instruction set.
#pragma once

#include <string.h>

#include "wconv.h"

namespace b1 {
namespace {

template <class Tile>
struct TiledWconv {
  static constexpr int kLanes = Tile::kLanes;
  static constexpr int kWords = 32;          // words of inputs at a time: tables of 16 KB
  static constexpr int kBlocksPerItem = 16;  // of a single pixel, for threads to share

  static int group_blocks(const ConvShape& s) {
    return (s.group_channels_out() + kLanes - 1) / kLanes;
  }
  static int blocks(const ConvShape& s) { return group_blocks(s) * s.groups; }
  static int steps(const ConvShape& s) { return s.kernel_h * s.kernel_w * s.group_words(); }
  static uint64_t filter_words(const ConvShape& s) {
    return static_cast<uint64_t>(blocks(s)) * kLanes * steps(s);
  }

  // Output channels of a block; the last one of a group may have fewer than kLanes.
  struct Block {
    int first, count;
    Block(const ConvShape& s, int block) {
      const int within = block % group_blocks(s) * kLanes;
      first = block / group_blocks(s) * s.group_channels_out() + within;
      count = min(kLanes, s.group_channels_out() - within);
    }
  };

  // [O, KH, KW, words] -> [group, block, KH, KW, words, kLanes]; missing channels are zero.
  static void pack_filter(const ConvShape& s, const uint32_t* filter, uint32_t* packed) {
    for (int index = 0; index < blocks(s); ++index) {
      const Block block(s, index);
      for (int step = 0; step < steps(s); ++step) {
        for (int i = 0; i < kLanes; ++i) {
          const size_t o = static_cast<size_t>(block.first) + i;
          *packed++ = i < block.count ? filter[o * steps(s) + step] : 0;
        }
      }
    }
  }

  // A single pixel, such as a fully connected layer has, is split by its channels.
  static int splits(const ConvShape& s) {
    return s.pixels() > 1 ? 1 : (blocks(s) + kBlocksPerItem - 1) / kBlocksPerItem;
  }
  static int items(const ConvShape& s) { return s.pixels() * splits(s); }

  static void run(const WconvCall& call, int first, int last) {
    const ConvShape& s = *call.shape;
    for (int item = first; item < last; ++item) {
      const int split = item % splits(s);
      const int end = splits(s) > 1 ? (split + 1) * kBlocksPerItem : blocks(s);
      compute(call, item / splits(s), split * kBlocksPerItem, min(end, blocks(s)));
    }
  }

  static void compute(const WconvCall& call, int pixel, int first_block, int last_block) {
    const ConvShape& s = *call.shape;
    float* out = call.out + static_cast<size_t>(pixel) * s.channels_out;
    const int first = Block(s, first_block).first;
    const Block last(s, last_block - 1);
    const int end = last.first + last.count;
    for (int o = first; o < end; ++o) out[o] = 0;
    const int x = pixel % s.out_w, y = pixel / s.out_w % s.out_h, n = pixel / s.out_w / s.out_h;
    for (int ky = 0; ky < s.kernel_h; ++ky) {
      const int iy = y * s.stride_h - s.pad_top + ky * s.dilation_h;
      if (iy < 0 || iy >= s.in_h) continue;
      for (int kx = 0; kx < s.kernel_w; ++kx) {
        const int ix = x * s.stride_w - s.pad_left + kx * s.dilation_w;
        if (ix < 0 || ix >= s.in_w) continue;
        const size_t at = (static_cast<size_t>(n) * s.in_h + iy) * s.in_w + ix;
        const int step = (ky * s.kernel_w + kx) * s.group_words();
        add_tap(call, call.input + at * s.channels_in, step, first_block, last_block, out);
      }
    }
    for (int o = first; o < end; ++o) {
      out[o] = clamp(out[o] * call.scale[o] + call.bias[o], call.low, call.high);
    }
  }

  // Adds one input pixel times the filter words from `step` on to the output row.
  static void add_tap(const WconvCall& call, const float* x, int step, int first_block,
                      int last_block, float* out) {
    const ConvShape& s = *call.shape;
    const int depth = s.channels_in / s.groups;
    for (int first = first_block; first < last_block;) {
      const int group = first / group_blocks(s);
      const int end = min(last_block, (group + 1) * group_blocks(s));
      for (int word = 0; word < s.group_words(); word += kWords) {
        const int words = min(s.group_words() - word, kWords);
        add_words(call, x + static_cast<size_t>(group) * depth + word * 32, depth - word * 32,
                  words, step + word, first, end, out);
      }
      first = end;
    }
  }

  // `words` words of the inputs of a group, of which `left` or more follow, for blocks of its
  // outputs.
  static void add_words(const WconvCall& call, const float* x, int left, int words, int step,
                        int first_block, int last_block, float* out) {
    const ConvShape& s = *call.shape;
    typename Tile::Inputs inputs;
    if (left < words * 32) {
      alignas(64) float padded[kWords * 32] = {};  // absent channels add ±0
      memcpy(padded, x, left * sizeof(float));
      Tile::load(padded, words, &inputs);
    } else {
      Tile::load(x, words, &inputs);
    }
    for (int index = first_block; index < last_block; ++index) {
      const uint32_t* filter =
          call.filter + (static_cast<size_t>(index) * steps(s) + step) * kLanes;
      const Block block(s, index);
      if (block.count == kLanes) {
        Tile::add(inputs, words, filter, out + block.first);
        continue;
      }
      alignas(64) float sums[kLanes] = {};
      memcpy(sums, out + block.first, block.count * sizeof(float));
      Tile::add(inputs, words, filter, sums);
      memcpy(out + block.first, sums, block.count * sizeof(float));
    }
  }

  template <const KernelInfo& kInfo>
  static constexpr WconvKernel kernel() {
    static_assert(kInfo.mr == 1 && kInfo.nr == kLanes, "variants.inc has the tile");
    return {kInfo, filter_words, pack_filter, items, run};
  }
};

// The portable tile: flips the sign bit of a broadcast input. Compilers vectorise its inner loop
// for whatever instruction set the file is built for.
template <int kWidth>
struct FlippingTile {
  static constexpr int kLanes = kWidth;
  struct Inputs {
    float x[32 * 32];
  };

  static void load(const float* x, int words, Inputs* inputs) {
    memcpy(inputs->x, x, words * 32 * sizeof(float));
  }

  static void add(const Inputs& inputs, int words, const uint32_t* filter, float* sums) {
    float sum[kLanes];
    memcpy(sum, sums, sizeof sum);
    for (int word = 0; word < words; ++word, filter += kLanes) {
      for (int bit = 0; bit < 32; ++bit) {
        uint32_t x;
        memcpy(&x, &inputs.x[word * 32 + bit], sizeof x);
        for (int lane = 0; lane < kLanes; ++lane) {
          const uint32_t flipped = x ^ (filter[lane] << (31 - bit) & 0x80000000u);
          float signed_x;
          memcpy(&signed_x, &flipped, sizeof signed_x);
          sum[lane] += signed_x;
        }
      }
    }
    memcpy(sums, sum, sizeof sum);
  }
};

}  // namespace
}  // namespace b1
