// What tiles do with their sums, for any width of vectors. The portable epilogue goes through
// memory between its steps; at 64 channels, where a tile has few steps, that took as long as the
// convolution.
//
// `V` provides kLanes, the types Int, Float and Mask, and:
//   load, store, set, add, twice, min, max          of 32-bit integers
//   to_float, multiply, add, clamp                  a clamp keeps NaN and the sign of zero
//   below_zero, above                               comparisons, to masks
//   word(const Mask*)                               the bits of 32 lanes
#pragma once

#include "bconv_tiled.h"

namespace b1 {
namespace {

template <class V>
struct VectorEpilogue {
  static constexpr int kLanes = V::kLanes, kVectors = kBlock / kLanes;
  using Int = typename V::Int;
  using Float = typename V::Float;
  using Mask = typename V::Mask;

  static uint32_t signs(const float* values) {
    Mask masks[kVectors];
    for (int v = 0; v < kVectors; ++v) masks[v] = V::below_zero(V::load(values + kLanes * v));
    return V::word(masks);
  }

  static uint32_t greater(const int32_t* a, const int32_t* b) {
    Mask masks[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      masks[v] = V::above(V::load(a + kLanes * v), V::load(b + kLanes * v));
    }
    return V::word(masks);
  }

  static bool finish(const Finish& f) {
    switch (f.call.epilogue->output) {
      case BconvOutput::kFloat:
        f.call.epilogue->has_add ? finish_float<true>(f) : finish_float<false>(f);
        return true;
      case BconvOutput::kBits:
        f.correction ? finish_bits<true>(f) : finish_bits<false>(f);
        return true;
      default:
        return false;
    }
  }

  // 2a + correction of a vector of channels of pixel `i`.
  static Int doubled(const Finish& f, int i, int v) {
    const Int sum = V::twice(V::load(f.sums + i * kBlock + kLanes * v));
    return f.correction ? V::add(sum, V::load(f.correction[i] + kLanes * v)) : sum;
  }

  template <bool kCorrected>
  static void finish_bits(const Finish& f) {
    const size_t words = words_for(f.call.shape->channels_out);
    uint32_t* out = f.call.out_bits + f.first_pixel * words + f.channel / 32;
    Int limits[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      limits[v] = V::load(f.call.epilogue->thresholds + f.channel + kLanes * v);
      if (kCorrected) limits[v] = V::twice(limits[v]);
    }
    for (int i = 0; i < f.pixels; ++i, out += words) {
      Mask masks[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        masks[v] = V::above(
            kCorrected ? doubled(f, i, v) : V::load(f.sums + i * kBlock + kLanes * v), limits[v]);
      }
      *out = V::word(masks);
    }
  }

  template <bool kAdd>
  static void finish_float(const Finish& f) {
    const BconvEpilogue& e = *f.call.epilogue;
    const size_t channels = f.call.shape->channels_out,
                 words = words_for(f.call.shape->channels_out);
    const size_t at = f.first_pixel * channels + f.channel;
    float* out = f.call.out_float ? f.call.out_float + at : nullptr;
    const float* residual = kAdd ? f.call.residual + at : nullptr;
    uint32_t* bits =
        f.call.out_bits ? f.call.out_bits + f.first_pixel * words + f.channel / 32 : nullptr;
    const Int low = V::set(e.clamp_min), high = V::set(e.clamp_max);
    const Float add_low = V::set(e.add_min), add_high = V::set(e.add_max);
    for (int i = 0; i < f.pixels; ++i) {
      Mask masks[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        Int t = doubled(f, i, v);
        if (e.has_clamp) t = V::max(V::min(t, high), low);
        Float y = V::multiply(V::to_float(t), V::load(e.multiplier + f.channel + kLanes * v));
        y = V::add(y, V::load(e.bias + f.channel + kLanes * v));
        if (kAdd) {
          y = V::add(y, V::load(residual + i * channels + kLanes * v));
          if (e.has_add_clamp) y = V::clamp(y, add_low, add_high);
        }
        if (out) V::store(out + i * channels + kLanes * v, y);
        masks[v] = V::below_zero(y);
      }
      if (bits) bits[i * words] = V::word(masks);
    }
  }
};

}  // namespace
}  // namespace b1
