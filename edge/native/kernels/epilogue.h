// The epilogue of tiles for any width of vectors. The portable one goes through
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

  template <bool kCorrected>
  __attribute__((noinline)) static void finish_bits(const Finish& f) {
    const size_t words = words_for(f.call.shape->channels_out);
    uint32_t* out = f.call.out_bits + f.first_pixel * words + f.channel / 32;
    Int limits[kVectors], correction[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      limits[v] = V::load(f.call.epilogue->thresholds + f.channel + kLanes * v);
      if (!kCorrected) continue;
      limits[v] = V::twice(limits[v]);
      correction[v] = V::load(f.correction + kLanes * v);
    }
    const int32_t* sums = f.sums;
    for (int i = 0, pixels = f.pixels; i < pixels; ++i, out += words, sums += kBlock) {
      Mask masks[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        Int t = V::load(sums + kLanes * v);
        if (kCorrected) t = V::add(V::twice(t), correction[v]);
        masks[v] = V::above(t, limits[v]);
      }
      *out = V::word(masks);
    }
  }

  template <bool kAdd>
  static void finish_float(const Finish& f) {
    const BconvEpilogue& e = *f.call.epilogue;
    const bool clamps = e.has_clamp || (kAdd && e.has_add_clamp);
    clamps ? finish_float<kAdd, true>(f) : finish_float<kAdd, false>(f);
  }

  // Not inlined, as a tile's loop leaves no registers.
  template <bool kAdd, bool kClamps>
  __attribute__((noinline)) static void finish_float(const Finish& f) {
    const BconvEpilogue& e = *f.call.epilogue;
    const size_t channels = f.call.shape->channels_out,
                 words = words_for(f.call.shape->channels_out);
    const size_t at = f.first_pixel * channels + f.channel;
    const size_t out_stride = f.call.out_stride;
    float* out =
        f.call.out_float ? f.call.out_float + f.first_pixel * out_stride + f.channel : nullptr;
    const float* residual = kAdd ? f.call.residual + at : nullptr;
    uint32_t* bits =
        f.call.out_bits ? f.call.out_bits + f.first_pixel * words + f.channel / 32 : nullptr;
    const bool has_clamp = e.has_clamp, has_add_clamp = e.has_add_clamp;
    const Int low = V::set(e.clamp_min), high = V::set(e.clamp_max);
    const Float add_low = V::set(e.add_min), add_high = V::set(e.add_max);
    Float multiplier[kVectors], bias[kVectors];
    Int correction[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      correction[v] = f.correction ? V::load(f.correction + kLanes * v) : V::set(0);
      multiplier[v] = V::load(e.multiplier + f.channel + kLanes * v);
      bias[v] = V::load(e.bias + f.channel + kLanes * v);
    }
    const int32_t* sums = f.sums;
    for (int i = 0, pixels = f.pixels; i < pixels; ++i, sums += kBlock) {
      Mask masks[kVectors];
      for (int v = 0; v < kVectors; ++v) {
        Int t = V::add(V::twice(V::load(sums + kLanes * v)), correction[v]);
        if (kClamps && has_clamp) t = V::max(V::min(t, high), low);
        Float y = V::add(V::multiply(V::to_float(t), multiplier[v]), bias[v]);
        if (kAdd) y = V::add(y, V::load(residual + i * channels + kLanes * v));
        if (kAdd && kClamps && has_add_clamp) y = V::clamp(y, add_low, add_high);
        if (out) V::store(out + i * out_stride + kLanes * v, y);
        masks[v] = V::below_zero(y);
      }
      if (bits) bits[i * words] = V::word(masks);
    }
  }
};

}  // namespace
}  // namespace b1
