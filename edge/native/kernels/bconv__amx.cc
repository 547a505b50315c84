// AMX: 64 pixels x 16 channels in four tile registers, twice for a block, 64 inputs a step.
//
// A tile multiplication adds 16 x 64 unsigned bytes times 64 x 16 signed bytes. With an input bit
// x as the byte 0 or 1 and a filter bit w as the byte 1 - 2w,
//
//   popcount(x XOR w) = sum(x + w - 2xw) = sum(w) + sum(x * (1 - 2w))
//
// so that the accumulators start at sum(w), and padding with +1, bit 0, is the byte 0.
//
// Inputs are expanded to bytes once, with padding; the filter stays packed, one bit each, and is
// expanded a block of channels at a time, or just ahead of the multiplication. A tile's rows lie at
// one distance from each other, so a tile takes positions that follow each other,
// those of its padding included, whose results are dropped. For strides the input is split into
// phases: position (y, x) of phase (i, j) is pixel (y * stride_h + i, x * stride_w + j), and each
// tap reads one phase at stride 1.
#include "amx_input.h"
#include "variants.h"
#include "vector_avx512.h"

namespace b1 {
namespace {

struct TileAmx : EpilogueAvx512 {
  static constexpr int kMr = 64, kMrStep = 64, kNr = 32;
};

constexpr int kStep = 64;                  // inputs that one multiplication takes
constexpr int kTileBytes = kRows * kStep;  // also one step of 16 channels, expanded
constexpr int kMostParts = TileAmx::kMr / kRows;
constexpr int kPanelSteps = 18;  // a block that is expanded once: 36 KB of the first-level cache
constexpr int kAhead = 2;        // else steps that are expanded before they are needed
constexpr int kFewTiles = 3;     // for which expanding a block first does not pay
constexpr int kMaxTaps = 256;
constexpr size_t kOwnBytes = 1 << 16;  // on a thread's stack
constexpr size_t kMostBytes = size_t{1} << 28;

int blocks(const ConvShape& s) { return (s.channels_out + kBlock - 1) / kBlock; }
int tap_steps(const ConvShape& s) { return (s.words_in() + 1) / 2; }
int steps(const ConvShape& s) { return s.kernel_h * s.kernel_w * tap_steps(s); }

// Positions from the first output of the first image to the last of the last.
int positions(const ConvShape& s) {
  const PaddedBytes f(s);
  return static_cast<int>(f.image) * (s.batch - 1) + (s.out_h - 1) * f.w + s.out_w;
}
// Tiles of up to four registers of positions, of nearly one size: two alone would wait for each
// other's results. Several are an even number, which two threads share equally.
int parts(const ConvShape& s) { return (positions(s) + kRows - 1) / kRows; }
int tiles(const ConvShape& s) {
  const int least = (parts(s) + kMostParts - 1) / kMostParts;
  return least > 1 ? round_up(least, 2) : 1;
}
int first_part(const ConvShape& s, int tile) {
  return static_cast<int>(static_cast<int64_t>(tile) * parts(s) / tiles(s));
}

bool applies(const ConvShape& s) {
  if (s.groups != 1 || static_cast<int64_t>(s.kernel_h) * s.kernel_w > kMaxTaps) return false;
  const size_t padded =
      static_cast<size_t>(s.padded_h() + s.stride_h) * (s.padded_w() + s.stride_w);
  return padded * s.batch <= kMostBytes / 64 && PaddedBytes(s).bytes() <= kMostBytes;
}

// A few pixels leave most of a tile empty, and 32 channels half of a step.
bool pays(const ConvShape& s) { return applies(s) && s.pixels() >= kRows && s.channels_in > 32; }

// The bits of 16 channels in a step, in the order of a tile register's bytes: row r has bit
// 4 * channel + j for input 4 * r + j.
struct PackedStep {
  uint64_t rows[kRows];
};

// [O, KH, KW, words] -> [block]{[half][step] PackedStep, [32] sums of w}; missing channels are
// zero.
size_t block_words(const ConvShape& s) {
  return 2 * steps(s) * (sizeof(PackedStep) / sizeof(uint32_t)) + kBlock;
}
uint64_t filter_words(const ConvShape& s) { return block_words(s) * blocks(s); }

void pack_filter(const ConvShape& s, const uint32_t* filter, uint32_t* packed) {
  const int words = s.words_in(), taps = s.kernel_h * s.kernel_w;
  memset(packed, 0, filter_words(s) * sizeof *packed);
  for (int o = 0; o < s.channels_out; ++o) {
    uint32_t* block = packed + block_words(s) * (o / kBlock);
    PackedStep* half = reinterpret_cast<PackedStep*>(block) + o % kBlock / kRows * steps(s);
    const int lane = o % kRows;
    for (int i = 0; i < taps * words; ++i) {
      const uint32_t word = filter[static_cast<size_t>(o) * taps * words + i];
      uint64_t* rows = half[i / words * tap_steps(s) + i % words / 2].rows + i % words % 2 * 8;
      for (int quad = 0; quad < 8; ++quad) {
        rows[quad] |= static_cast<uint64_t>(word >> (4 * quad) & 15) << (4 * lane);
      }
      block[block_words(s) - kBlock + o % kBlock] += __builtin_popcount(word);
    }
  }
}

// Threads that share a tile each expand its small input, which takes less than to fetch it from
// each other's caches.
bool has_own_input(const ConvShape& s) {
  return tiles(s) == 1 && PaddedBytes(s).bytes() <= kOwnBytes;
}

uint64_t scratch_words(const ConvShape& s) {
  return has_own_input(s) ? 0 : PaddedBytes(s).bytes() / sizeof(uint32_t);
}

int input_items(const ConvShape& s) { return has_own_input(s) ? 0 : PaddedBytes(s).rows; }

void pack_input(const BconvCall& call, int first, int last) {
  fill(call, PaddedBytes(*call.shape), first, last, reinterpret_cast<uint8_t*>(call.scratch));
}

// Compilers do not know that tile instructions read and write memory.
inline void settle_memory() { __asm__ volatile("" : : : "memory"); }

void configure_tiles() {
  struct alignas(64) {
    uint8_t palette = 1, start_row = 0, reserved[14] = {};
    uint16_t row_bytes[16] = {};
    uint8_t rows[16] = {};
  } config;
  for (int i = 0; i < 8; ++i) config.row_bytes[i] = kStep, config.rows[i] = kRows;
  settle_memory();
  _tile_loadconfig(&config);
}

// Filter bits to bytes 1 and -1: part `kPart` of `kParts` of a step.
template <int kPart, int kParts>
inline void expand_part(const PackedStep& from, uint8_t* to) {
  const __m512i one = _mm512_set1_epi8(1), minus_one = _mm512_set1_epi8(-1);
#pragma GCC unroll 16
  for (int row = kPart * kRows / kParts; row < (kPart + 1) * kRows / kParts; ++row) {
    // NOLINTNEXTLINE(clang-analyzer-security.ArrayBound): row < kRows, the size of `rows`
    _mm512_store_si512(to + row * kStep, _mm512_mask_blend_epi8(from.rows[row], one, minus_one));
  }
}

void expand(const PackedStep* from, int count, uint8_t* panel) {
  for (int step = 0; step < count; ++step) {
    expand_part<0, 1>(from[step], panel + step * kTileBytes);
  }
}

// Where the taps of a position lie, in bytes from it.
struct Taps {
  size_t offset[kMaxTaps];
  int count, steps;  // steps of a tap

  Taps(const ConvShape& s, const PaddedBytes& f) : count(0), steps(tap_steps(s)) {
    for (int ky = 0; ky < s.kernel_h; ++ky) {
      for (int kx = 0; kx < s.kernel_w; ++kx) offset[count++] = f.tap(s, ky, kx);
    }
  }
};

// Where a tile's inputs are, in the order of the filter's steps.
struct Inputs {
  const uint8_t* first;
  const Taps& taps;
  size_t pixel;
};

// One half of a block.
struct Half {
  const PackedStep* packed;
  const int32_t* weight_sums;
  uint8_t* panel;  // all steps, expanded; or room for twice kAhead
};

// The sums of kParts * 16 positions.
template <int kParts, bool kExpanded>
void accumulate(const Inputs& in, const Half& half, int32_t* sums) {
  const int total = in.taps.count * in.taps.steps;
  const size_t part = kRows * in.pixel;
  if (!kExpanded) expand(half.packed, min(total, kAhead), half.panel);
  settle_memory();
  _tile_loadd(0, half.weight_sums, 0);
  if (kParts > 1) _tile_loadd(1, half.weight_sums, 0);
  if (kParts > 2) _tile_loadd(2, half.weight_sums, 0);
  if (kParts > 3) _tile_loadd(3, half.weight_sums, 0);
  const uint8_t* weights = half.panel;
  int step = 0;
  for (int tap = 0; tap < in.taps.count; ++tap) {
    const uint8_t* x = in.first + in.taps.offset[tap];
    for (const uint8_t* end = x + in.taps.steps * kStep; x != end; x += kStep, ++step) {
      // A part of a later step is expanded behind each multiplication, which hides it.
      const PackedStep& later = half.packed[step + kAhead < total ? step + kAhead : step];
      uint8_t* to = half.panel + (step + kAhead) % (2 * kAhead) * kTileBytes;
      if (!kExpanded) weights = half.panel + step % (2 * kAhead) * kTileBytes;
      _tile_loadd(6, weights, kStep);
      weights += kTileBytes;
      _tile_loadd(4, x, in.pixel);
      _tile_dpbusd(0, 4, 6);
      if (!kExpanded) expand_part<0, kParts>(later, to);
      if (kParts > 1) {
        _tile_loadd(5, x + part, in.pixel);
        _tile_dpbusd(1, 5, 6);
        if (!kExpanded) expand_part<1, kParts>(later, to);
      }
      if (kParts > 2) {
        _tile_loadd(7, x + 2 * part, in.pixel);
        _tile_dpbusd(2, 7, 6);
        if (!kExpanded) expand_part<2, kParts>(later, to);
      }
      if (kParts > 3) {
        _tile_loadd(4, x + 3 * part, in.pixel);
        _tile_dpbusd(3, 4, 6);
        if (!kExpanded) expand_part<3, kParts>(later, to);
      }
      if (!kExpanded) settle_memory();
    }
  }
  constexpr int kPitch = kBlock * sizeof(int32_t);
  _tile_stored(0, sums, kPitch);
  if (kParts > 1) _tile_stored(1, sums + kRows * kBlock, kPitch);
  if (kParts > 2) _tile_stored(2, sums + 2 * kRows * kBlock, kPitch);
  if (kParts > 3) _tile_stored(3, sums + 3 * kRows * kBlock, kPitch);
  settle_memory();
}

// Finishes the outputs among a tile's positions, those of a line with one correction at a time.
void finish(const BconvCall& call, const PaddedBytes& f, int position, int count, int channel,
            const int32_t* sums) {
  const ConvShape& s = *call.shape;
  const int channels = min(s.channels_out - channel, kBlock);
  const int end = position + count;
  for (int at = position; at < end;) {
    const int n = at / static_cast<int>(f.image), within = at % static_cast<int>(f.image);
    const int y = within / f.w, x = within % f.w;
    if (x >= s.out_w || y >= s.out_h) {
      at += y >= s.out_h ? static_cast<int>(f.image) - within : f.w - x;
      continue;
    }
    int run = min(end - at, s.out_w - x);
    const int32_t* correction = nullptr;
    if (const BconvCorrection* c = call.correction) {
      const uint8_t* col_class = c->col_class + x;
      // Positions of a class are neighbours, and all but a few are of one class.
      if (run > 1 && col_class[1] != col_class[0]) run = 1;
      while (col_class[run - 1] != col_class[0]) --run;
      const size_t entry = c->row_class[y] * c->col_classes + col_class[0];
      correction = c->table + entry * channel_capacity(s.channels_out) + channel;
    }
    const size_t pixel = (static_cast<size_t>(n) * s.out_h + y) * s.out_w + x;
    TiledBconv<TileAmx>::finish_block(
        {call, pixel, run, channel, sums + (at - position) * kBlock, correction}, channels);
    at += run;
  }
}

// How many outputs lie before a position.
size_t pixels_before(const ConvShape& s, const PaddedBytes& f, int position) {
  const int n = position / static_cast<int>(f.image), within = position % static_cast<int>(f.image);
  const int y = within / f.w, x = within % f.w;
  const size_t line = static_cast<size_t>(n) * s.out_h + min(y, s.out_h);
  const size_t count = line * s.out_w + (y >= s.out_h ? 0 : min(x, s.out_w));
  const size_t all = s.pixels();
  return count < all ? count : all;  // the last tile may reach past the last image
}

int splits(const ConvShape& s) { return splits_of(tiles(s), blocks(s)); }
int run_items(const ConvShape& s) { return tiles(s) * splits(s); }

void run_rectangle(const BconvCall& call, const PaddedBytes& f, const uint8_t* padded,
                   const Taps& taps, const Rectangle& r) {
  constexpr decltype(&accumulate<1, true>) kAccumulate[][kMostParts] = {
      {accumulate<1, false>, accumulate<2, false>, accumulate<3, false>, accumulate<4, false>},
      {accumulate<1, true>, accumulate<2, true>, accumulate<3, true>, accumulate<4, true>}};
  const ConvShape& s = *call.shape;
  const int total = positions(s);
  const bool whole = steps(s) <= kPanelSteps && r.last_tile - r.first_tile >= kFewTiles;
  const size_t first_pixel = pixels_before(s, f, first_part(s, r.first_tile) * kRows);
  const bool split = r.last_block - r.first_block < blocks(s);  // of a single tile
  const size_t end_pixel = pixels_before(s, f, first_part(s, r.first_tile + 1) * kRows);
  SplitBits<TileAmx::kMr> bits(call, r, first_pixel,
                               split ? static_cast<int>(end_pixel - first_pixel) : 0);
  alignas(64) uint8_t panel[2 * kPanelSteps * kTileBytes];
  alignas(64) int32_t sums[TileAmx::kMr * kBlock];
  for (int block = r.first_block; block < r.last_block; ++block) {
    const uint32_t* filter = call.filter + block_words(s) * block;
    const PackedStep* packed = reinterpret_cast<const PackedStep*>(filter);
    const int32_t* weight_sums = reinterpret_cast<const int32_t*>(filter + block_words(s) - kBlock);
    if (whole) expand(packed, 2 * steps(s), panel);
    for (int tile = r.first_tile; tile < r.last_tile; ++tile) {
      const int part = first_part(s, tile), end_part = first_part(s, tile + 1);
      const int position = part * kRows, end = end_part * kRows;
      const Inputs inputs = {padded + f.pixel * position, taps, f.pixel};
      for (int half = 0; half < 2; ++half) {
        kAccumulate[whole][end_part - part - 1](
            inputs,
            {packed + steps(s) * half, weight_sums + kRows * half,
             panel + (whole ? steps(s) * half * kTileBytes : 0)},
            sums + kRows * half);
      }
      finish(bits.call(), f, position, min(end, total) - position, block * kBlock, sums);
    }
  }
  bits.store();
}

void run(const BconvCall& call, int first, int last) {
  const PaddedBytes f(*call.shape);
  const Taps taps(*call.shape, f);
  alignas(64) uint8_t own[kOwnBytes];
  const uint8_t* padded = reinterpret_cast<const uint8_t*>(call.scratch);
  if (has_own_input(*call.shape)) {
    fill(call, f, 0, f.rows, own);
    padded = own;
  }
  configure_tiles();
  for_each_rectangle(first, last, splits(*call.shape), blocks(*call.shape),
                     [&](const Rectangle& r) { run_rectangle(call, f, padded, taps, r); });
  _tile_release();
}

}  // namespace

static_assert(kBconvAmxInfo.mr == TileAmx::kMr && kBconvAmxInfo.nr == TileAmx::kNr,
              "variants.inc has the tile");
const BconvKernel kBconvAmx = {kBconvAmxInfo, applies,     pays,       filter_words, pack_filter,
                               scratch_words, input_items, pack_input, run_items,    run};

}  // namespace b1
