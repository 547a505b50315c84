// The driver of every tiled binary convolution; a file per instruction set instantiates it.
//
// There is no im2col. The input is copied once with its padding, so that all taps of an output
// pixel lie at offsets that do not depend on the pixel: a tile is a few base pointers (one a pixel,
// which may lie in different rows or images) and a shared list of runs of contiguous words. Filters
// are interleaved: the same word of kNr output channels lies side by side, so that a broadcast
// input word meets a vector of channels and no horizontal sum is ever needed.
//
// A `Tile` provides:
//   kMr, kNr        pixels and output channels of a tile; it computes kMrStep pixels at a time
//   kPaired         it reads words in pairs
//   template <int kCount>
//   static void accumulate(const uint32_t* const* pixels, int count, const TapRuns&,
//                          const uint32_t* filter, int32_t* sums)
//                                          sums[pixel * kBlock + channel] = a of kCount pixels,
//                                          which is 1 or kMrStep; those past `count` repeat the
//                                          last, and nothing of theirs is used
//   static uint32_t signs(const float* values)               bit i = values[i] < 0
//   static uint32_t greater(const int32_t* a, const int32_t* b)    bit i = a[i] > b[i]
//   static bool finish(const Finish&)      the epilogue of a whole block, or false to leave it to
//                                          the portable one below
//
// Everything here has internal linkage: each file compiles it with its own instruction set, and the
// linker must not merge those copies.
#pragma once

#include "padded_input.h"
#include "rectangles.h"

namespace b1 {
namespace {

// One block of channels of neighbouring pixels, accumulated and waiting for its epilogue.
struct Finish {
  const BconvCall& call;
  size_t first_pixel;
  int pixels, channel;
  const int32_t* sums;
  const int32_t* correction;  // of all these pixels, at `channel`; nullptr without zero padding
};

template <class Tile>
struct TiledBconv {
  using Input = PaddedInput<Tile>;
  using Walker = typename Input::Walker;
  static constexpr int kMr = Tile::kMr, kMrStep = Tile::kMrStep, kNr = Tile::kNr;
  static_assert(kBlock % kNr == 0 && kMr % kMrStep == 0, "blocks and tiles are whole");

  // A paired tile eats two words at a time (see the AVX-512 kernel). An odd word gets a partner of
  // zeros, which pays from five words on.
  static bool applies(const ConvShape& s) {
    return !Tile::kPaired || s.group_words() % 2 == 0 || (s.groups == 1 && s.words_in() >= 5);
  }

  static bool pays(const ConvShape&) { return true; }

  static int blocks_per_group(const ConvShape& s) {
    return (s.group_channels_out() + kBlock - 1) / kBlock;
  }

  static uint64_t block_words(const ConvShape& s) {
    return static_cast<uint64_t>(kBlock) * s.kernel_h * s.kernel_w * Input::tap_words(s);
  }
  static uint64_t filter_words(const ConvShape& s) {
    return block_words(s) * blocks_per_group(s) * s.groups;
  }

  // [O, KH, KW, words] -> [group, block, tile, KH, KW, words, kNr]; missing channels are zero.
  // Paired tiles store the second word of each pair as the XOR of both.
  static void pack_filter(const ConvShape& s, const uint32_t* filter, uint32_t* packed) {
    const int words = s.group_words(), taps = s.kernel_h * s.kernel_w;
    for (int group = 0; group < s.groups; ++group) {
      for (int first = 0; first < blocks_per_group(s) * kBlock; first += kNr) {
        for (int step = 0; step < taps * Input::tap_words(s); ++step) {
          const int tap = step / Input::tap_words(s), i = step % Input::tap_words(s);
          for (int c = first; c < first + kNr; ++c) {
            const size_t row = static_cast<size_t>(group) * s.group_channels_out() + c;
            const uint32_t* from = filter + (row * taps + tap) * words;
            const bool real = c < s.group_channels_out();
            uint32_t word = real && i < words ? from[i] : 0;
            if (Tile::kPaired && i % 2 == 1 && real) word ^= from[i - 1];
            *packed++ = word;
          }
        }
      }
    }
  }

  // Few tiles are of one size, so that threads can share them evenly.
  static int tile_pixels(const ConvShape& s) {
    const int all = (s.pixels() + kMrStep - 1) / kMrStep;
    int groups = kMr / kMrStep;
    if (all < kEnoughTiles * groups) {
      while (all % groups != 0) --groups;
    }
    return groups * kMrStep;
  }

  static int tiles(const ConvShape& s) {
    const int most = tile_pixels(s);
    return (s.pixels() + most - 1) / most;
  }

  // Whether blocks share words of bits, which only groups of odd sizes make them do; then one item
  // computes all blocks of a tile, so that no two threads write the same word.
  static bool blocks_share_words(const ConvShape& s) {
    return s.groups > 1 && s.group_channels_out() % kBlock != 0;
  }

  static int blocks(const ConvShape& s) { return blocks_per_group(s) * s.groups; }

  // Few tiles are split by their blocks too.
  static int splits(const ConvShape& s) {
    return blocks_share_words(s) ? 1 : splits_of(tiles(s), blocks(s));
  }
  static int run_items(const ConvShape& s) { return tiles(s) * splits(s); }

  // The pixels of one tile; those past the last repeat it, and are computed but not stored.
  struct Pixels {
    const uint32_t* first_tap[kMr];
    const int32_t* correction[kMr];
    int first, count;
  };

  static void take_pixels(const BconvCall& call, int most, Walker* walker, Pixels* p) {
    p->first = walker->pixel();
    p->count = call.shape->pixels() - p->first;
    if (p->count > most) p->count = most;
    const uint32_t* tap = walker->first_tap();
    for (int i = 0; i < round_up(p->count, kMrStep); ++i) {
      if (i < p->count) {
        tap = walker->first_tap();
        if (call.correction) p->correction[i] = walker->correction();
        walker->advance();
      }
      p->first_tap[i] = tap;
    }
  }

  static void run(const BconvCall& call, int first, int last) {
    for_each_rectangle(first, last, splits(*call.shape), blocks(*call.shape),
                       [&](const Rectangle& r) { run_rectangle(call, r); });
  }

  // A block of filters is used for all tiles before the next.
  static void run_rectangle(const BconvCall& call, const Rectangle& r) {
    const ConvShape& s = *call.shape;
    const TapRuns runs = Input::runs_of(s);
    const int most = tile_pixels(s), first_pixel = r.first_tile * most;
    Walker walker(call, first_pixel);
    Pixels pixels;
    if (blocks_share_words(s)) {
      for (int tile = r.first_tile; tile < r.last_tile; ++tile) {
        take_pixels(call, most, &walker, &pixels);
        clear_bits(call, pixels.first, pixels.count);
        for (int block = 0; block < blocks(s); ++block) run_tile(call, runs, pixels, block);
      }
      return;
    }
    if (r.last_block - r.first_block < blocks(s)) {  // of a single tile
      take_pixels(call, most, &walker, &pixels);
      SplitBits<kMr> bits(call, r, pixels.first, pixels.count);
      for (int block = r.first_block; block < r.last_block; ++block) {
        run_tile(bits.call(), runs, pixels, block);
      }
      bits.store();
      return;
    }
    for (int block = 0; block < r.last_block; ++block) {
      walker.move_to(first_pixel);
      for (int tile = r.first_tile; tile < r.last_tile; ++tile) {
        take_pixels(call, most, &walker, &pixels);
        run_tile(call, runs, pixels, block);
      }
    }
  }

  static void clear_bits(const BconvCall& call, int pixel, int count) {
    const size_t words = words_for(call.shape->channels_out);
    if (call.out_bits) memset(call.out_bits + pixel * words, 0, count * words * sizeof(uint32_t));
  }

  // Accumulates and finishes one block of channels of one tile of pixels.
  static void run_tile(const BconvCall& call, const TapRuns& runs, const Pixels& pixels,
                       int block) {
    const ConvShape& s = *call.shape;
    const int group = block / blocks_per_group(s);
    const int channel = block % blocks_per_group(s) * kBlock;
    const int channels = min(s.group_channels_out() - channel, kBlock);
    const uint32_t* taps[kMr];
    for (int i = 0; i < round_up(pixels.count, kMrStep); ++i) {
      taps[i] = pixels.first_tap[i] + group * Input::tap_words(s);
    }
    const uint32_t* filter = call.filter + block_words(s) * block;
    alignas(64) int32_t sums[kMr * kBlock];
    if (channels < kBlock) memset(sums, 0, sizeof sums);  // the epilogue computes whole blocks
    for (int c = 0; c < channels; c += kNr) {
      for (int i = 0; i < pixels.count; i += kMrStep) {
        const int count = min(pixels.count - i, kMrStep);
        int32_t* group_sums = sums + i * kBlock + c;
        if (count == 1) {  // as in dense layers
          Tile::template accumulate<1>(taps + i, count, runs, filter, group_sums);
        } else {
          Tile::template accumulate<kMrStep>(taps + i, count, runs, filter, group_sums);
        }
      }
      filter += block_words(s) / (kBlock / kNr);
    }
    const int out_channel = group * s.group_channels_out() + channel;
    for (int i = 0, end; i < pixels.count; i = end) {
      const int32_t* correction = nullptr;
      end = pixels.count;
      if (call.correction) {
        correction = pixels.correction[i] + out_channel;
        for (end = i + 1; end < pixels.count && pixels.correction[end] == pixels.correction[i];) {
          ++end;
        }
      }
      finish_block({call, static_cast<size_t>(pixels.first) + i, end - i, out_channel,
                    sums + i * kBlock, correction},
                   channels);
    }
  }

  // Finishes up to a block of channels of neighbouring pixels.
  static void finish_block(const Finish& f, int channels) {
    const bool whole = channels == kBlock && f.channel % kBlock == 0;
    if (whole && Tile::finish(f)) return;
    for (int i = 0; i < f.pixels; ++i) {
      finish(f.call, f.first_pixel + i, f.channel, channels, f.sums + i * kBlock, f.correction);
    }
  }

  static void finish(const BconvCall& call, size_t pixel, int channel, int channels,
                     const int32_t* sums, const int32_t* correction) {
    const ConvShape& s = *call.shape;
    const BconvEpilogue& e = *call.epilogue;
    alignas(64) int32_t t[kBlock];
    for (int i = 0; i < kBlock; ++i) t[i] = sums[i] * 2;
    if (correction) {
      for (int i = 0; i < kBlock; ++i) t[i] += correction[i];
    }
    if (e.output == BconvOutput::kBits) {
      alignas(64) int32_t limit[kBlock];
      for (int i = 0; i < kBlock; ++i) limit[i] = e.thresholds[channel + i] * 2;
      store_bits(call, pixel, channel, channels, Tile::greater(t, limit));
      return;
    }
    alignas(64) float value[kBlock];
    const int32_t low = e.clamp_min, high = e.clamp_max;
    const float *multiplier = e.multiplier + channel, *bias = e.bias + channel;
    for (int i = 0; i < kBlock; ++i) {
      const int32_t clamped = max(min(t[i], high), low);
      value[i] = static_cast<float>(clamped) * multiplier[i] + bias[i];
    }
    const size_t index = pixel * s.channels_out + channel;
    if (e.output == BconvOutput::kInt8) {
      alignas(64) int8_t rounded[kBlock];
      for (int i = 0; i < kBlock; ++i) rounded[i] = round_to_int8(value[i]);
      copy(call.out_int8 + index, rounded, channels);
      return;
    }
    if (e.has_add) {
      alignas(64) float residual[kBlock] = {};
      copy(residual, call.residual + index, channels);
      for (int i = 0; i < kBlock; ++i) {
        value[i] = clamp(value[i] + residual[i], e.add_min, e.add_max);
      }
    }
    if (call.out_float) copy(call.out_float + pixel * call.out_stride + channel, value, channels);
    if (call.out_bits) store_bits(call, pixel, channel, channels, Tile::signs(value));
  }

  // A whole block is the common case, and a copy of constant size is a few vector moves.
  template <class T>
  static void copy(T* to, const T* from, int count) {
    if (count == kBlock) {
      memcpy(to, from, kBlock * sizeof(T));
    } else {
      memcpy(to, from, count * sizeof(T));
    }
  }

  static void store_bits(const BconvCall& call, size_t pixel, int channel, int channels,
                         uint32_t bits) {
    const ConvShape& s = *call.shape;
    uint32_t* row = call.out_bits + pixel * words_for(s.channels_out);
    if (channels < kBlock) bits &= (1u << channels) - 1;
    if (!blocks_share_words(s)) {
      row[channel / 32] = bits;
      return;
    }
    const uint64_t wide = static_cast<uint64_t>(bits) << (channel % 32);
    row[channel / 32] |= static_cast<uint32_t>(wide);
    if (wide >> 32) row[channel / 32 + 1] |= static_cast<uint32_t>(wide >> 32);
  }

  template <const KernelInfo& kInfo>
  static constexpr BconvKernel kernel() {
    static_assert(kInfo.mr == kMr && kInfo.nr == kNr, "variants.inc has the tile");
    return {kInfo,
            applies,
            pays,
            filter_words,
            pack_filter,
            Input::scratch_words,
            Input::input_items,
            Input::pack,
            run_items,
            run};
  }
};

}  // namespace
}  // namespace b1
