// The driver of every tiled binary convolution; a file per instruction set instantiates it.
//
// There is no im2col. The input is staged once into a frame with its padding, so that all taps of
// an output pixel lie at offsets that do not depend on the pixel: a tile is a few base pointers
// (one a pixel, which may lie in different rows or images) and a shared list of runs of contiguous
// words. Filters are interleaved: the same word of `kTileChannels` output channels stands side by
// side, so that a broadcast input word meets a vector of channels and no horizontal sum is ever
// needed.
//
// A `Tile` provides:
//   kIsa, kPixels, kGroup, kChannels, kPaired
//   static void accumulate(const uint32_t* const* pixels, int count, const Runs&,
//                          const uint32_t* filter, int32_t* sums)
//                                          sums[pixel * kBlock + channel] = a of a group of
//                                          kGroup pixels; those past `count` repeat the last, and
//                                          nothing of theirs is used
//   static uint32_t signs(const float* values)               bit i = values[i] < 0
//   static uint32_t greater(const int32_t* a, const int32_t* b)    bit i = a[i] > b[i]
//   static bool finish(const Finish&)      the epilogue of a whole block, or false to leave it to
//                                          the portable one below
//
// Everything here has internal linkage: each file compiles it with its own instruction set, and the
// linker must not merge those copies.
#pragma once

#include "rectangles.h"

namespace b1 {
namespace {

// Where the words of a pixel's taps lie, counted in words from its first tap: `rows` x `taps` runs
// of `words` contiguous ones. Taps that touch in memory form one run.
struct Runs {
  int rows, row_step, taps, tap_step, words;
};

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
  static constexpr int kP = Tile::kPixels, kG = Tile::kGroup, kC = Tile::kChannels;
  static_assert(kBlock % kC == 0 && kP % kG == 0, "blocks and tiles are whole");

  // A paired tile eats two words at a time (see the AVX-512 kernel). An odd word gets a partner of
  // zeros, which pays from five words on.
  static bool applies(const BconvShape& s) {
    return !Tile::kPaired || s.group_words() % 2 == 0 || (s.groups == 1 && s.words_in() >= 5);
  }

  static bool pays(const BconvShape&) { return true; }

  static int blocks_per_group(const BconvShape& s) {
    return (s.group_channels_out() + kBlock - 1) / kBlock;
  }

  // Words of a tap, and of a pixel in the frame.
  static int tap_words(const BconvShape& s) { return round_up(s.group_words(), Tile::kPaired + 1); }
  static int pixel_words(const BconvShape& s) { return s.groups * tap_words(s); }

  static size_t block_words(const BconvShape& s) {
    return static_cast<size_t>(kBlock) * s.kernel_h * s.kernel_w * tap_words(s);
  }
  static size_t filter_words(const BconvShape& s) {
    return block_words(s) * blocks_per_group(s) * s.groups;
  }

  // [O, KH, KW, words] -> [group, block, tile, KH, KW, words, kC]; missing channels are zero.
  // Paired tiles store the second word of each pair as the XOR of both.
  static void pack_filter(const BconvShape& s, const uint32_t* filter, uint32_t* packed) {
    const int words = s.group_words(), taps = s.kernel_h * s.kernel_w;
    for (int group = 0; group < s.groups; ++group) {
      for (int first = 0; first < blocks_per_group(s) * kBlock; first += kC) {
        for (int step = 0; step < taps * tap_words(s); ++step) {
          const int tap = step / tap_words(s), i = step % tap_words(s);
          for (int c = first; c < first + kC; ++c) {
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

  static bool staged(const BconvShape& s) { return Tile::kPaired || s.needs_padding(); }

  static size_t scratch_words(const BconvShape& s) {
    if (!staged(s)) return 0;
    return static_cast<size_t>(s.batch) * s.padded_h() * s.padded_w() * pixel_words(s);
  }

  static int stage_items(const BconvShape& s) { return staged(s) ? s.batch * s.padded_h() : 0; }

  // Copies rows into the frame; padding is zero bits, that is +1.
  static void stage(const BconvCall& call, int first, int last) {
    const BconvShape& s = *call.shape;
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

  // Few tiles are of one size, so that threads can share them evenly.
  static int tile_pixels(const BconvShape& s) {
    const int all = (s.pixels() + kG - 1) / kG;
    int groups = kP / kG;
    if (all < kEnoughTiles * groups) {
      while (all % groups != 0) --groups;
    }
    return groups * kG;
  }

  static int tiles(const BconvShape& s) {
    return (s.pixels() + tile_pixels(s) - 1) / tile_pixels(s);
  }

  // Whether blocks share words of bits, which only groups of odd sizes make them do; then one item
  // computes all blocks of a tile, so that no two threads write the same word.
  static bool blocks_share_words(const BconvShape& s) {
    return s.groups > 1 && s.group_channels_out() % kBlock != 0;
  }

  static int blocks(const BconvShape& s) { return blocks_per_group(s) * s.groups; }

  // Few tiles are split by their blocks too.
  static int splits(const BconvShape& s) {
    return blocks_share_words(s) ? 1 : splits_of(tiles(s), blocks(s));
  }
  static int run_items(const BconvShape& s) { return tiles(s) * splits(s); }

  static Runs runs_of(const BconvShape& s, int frame_w) {
    const int words = pixel_words(s);
    if (s.groups == 1 && s.dilation_w == 1) {
      return {s.kernel_h, s.dilation_h * frame_w * words, 1, 0, s.kernel_w * words};
    }
    return {s.kernel_h, s.dilation_h * frame_w * words, s.kernel_w, s.dilation_w * words,
            tap_words(s)};
  }

  // Walks the output pixels in order and knows where in the frame their first taps lie.
  class Walker {
   public:
    Walker(const BconvCall& call, int pixel) : call_(call), s_(*call.shape) {
      const bool framed = staged(s_);
      frame_ = framed ? call.scratch : call.input;
      const ptrdiff_t row =
          static_cast<ptrdiff_t>(pixel_words(s_)) * (framed ? s_.padded_w() : s_.in_w);
      step_ = s_.stride_w * pixel_words(s_);
      row_step_ = s_.stride_h * row;
      image_step_ = (framed ? s_.padded_h() : s_.in_h) * row;
      move_to(pixel);
    }

    int pixel() const { return pixel_; }

    void move_to(int pixel) {
      pixel_ = pixel;
      x_ = pixel % s_.out_w;
      y_ = pixel / s_.out_w % s_.out_h;
      image_ = frame_ + pixel / s_.out_w / s_.out_h * image_step_;
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
    const BconvShape& s_;
    const uint32_t *frame_, *image_, *tap_;
    ptrdiff_t step_, row_step_, image_step_;
    int pixel_, x_, y_;
  };

  // The pixels of one tile; those past the last repeat it, and are computed but not stored.
  struct Pixels {
    const uint32_t* first_tap[kP];
    const int32_t* correction[kP];
    int first, count;
  };

  static void take_pixels(const BconvCall& call, Walker* walker, Pixels* p) {
    const int most = tile_pixels(*call.shape);
    p->first = walker->pixel();
    p->count = call.shape->pixels() - p->first;
    if (p->count > most) p->count = most;
    const uint32_t* tap = walker->first_tap();
    for (int i = 0; i < round_up(p->count, kG); ++i) {
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
    const BconvShape& s = *call.shape;
    const Runs runs = runs_of(s, staged(s) ? s.padded_w() : s.in_w);
    Walker walker(call, r.first_tile * tile_pixels(s));
    Pixels pixels;
    if (blocks_share_words(s)) {
      for (int tile = r.first_tile; tile < r.last_tile; ++tile) {
        take_pixels(call, &walker, &pixels);
        clear_bits(call, pixels.first, pixels.count);
        for (int block = 0; block < blocks(s); ++block) run_tile(call, runs, pixels, block);
      }
      return;
    }
    if (r.last_block - r.first_block < blocks(s)) {  // of a single tile
      take_pixels(call, &walker, &pixels);
      SplitBits<kP> bits(call, r, pixels.first, pixels.count);
      for (int block = r.first_block; block < r.last_block; ++block) {
        run_tile(bits.call(), runs, pixels, block);
      }
      bits.store();
      return;
    }
    for (int block = 0; block < r.last_block; ++block) {
      walker.move_to(r.first_tile * tile_pixels(s));
      for (int tile = r.first_tile; tile < r.last_tile; ++tile) {
        take_pixels(call, &walker, &pixels);
        run_tile(call, runs, pixels, block);
      }
    }
  }

  static void clear_bits(const BconvCall& call, int pixel, int count) {
    const size_t words = words_for(call.shape->channels_out);
    if (call.out_bits) memset(call.out_bits + pixel * words, 0, count * words * sizeof(uint32_t));
  }

  // Accumulates and finishes one block of channels of one tile of pixels.
  static void run_tile(const BconvCall& call, const Runs& runs, const Pixels& pixels, int block) {
    const BconvShape& s = *call.shape;
    const int group = block / blocks_per_group(s);
    const int channel = block % blocks_per_group(s) * kBlock;
    const int left = s.group_channels_out() - channel, channels = left < kBlock ? left : kBlock;
    const uint32_t* taps[kP];
    for (int i = 0; i < round_up(pixels.count, kG); ++i) {
      taps[i] = pixels.first_tap[i] + group * tap_words(s);
    }
    const uint32_t* filter = call.filter + block_words(s) * block;
    alignas(64) int32_t sums[kP * kBlock];
    if (channels < kBlock) memset(sums, 0, sizeof sums);  // the epilogue computes whole blocks
    for (int c = 0; c < channels; c += kC) {
      for (int i = 0; i < pixels.count; i += kG) {
        const int count = pixels.count - i < kG ? pixels.count - i : kG;
        Tile::accumulate(taps + i, count, runs, filter, sums + i * kBlock + c);
      }
      filter += block_words(s) / (kBlock / kC);
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
    const BconvShape& s = *call.shape;
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
      int32_t clamped = t[i] > high ? high : t[i];
      clamped = clamped < low ? low : clamped;
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
        float sum = value[i] + residual[i];
        sum = sum < e.add_min ? e.add_min : sum;
        value[i] = sum > e.add_max ? e.add_max : sum;
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
    const BconvShape& s = *call.shape;
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

  static constexpr BconvKernel kernel(const char* name) {
    return {name,          Tile::kIsa,  applies, pays,      filter_words, pack_filter,
            scratch_words, stage_items, stage,   run_items, run};
  }
};

}  // namespace
}  // namespace b1
