// The shape of a convolution, of bits or of floats.
#pragma once

#include "inline.h"

namespace b1 {

// Channels that one epilogue call handles: one word of bits.
constexpr int kBlock = 32;

// Entries that a per-channel array holds, so that a whole block may be read from any channel on.
B1_INLINE constexpr int channel_capacity(int channels) { return channels + kBlock; }

struct ConvShape {
  int batch, in_h, in_w, channels_in;
  int out_h, out_w, channels_out;
  int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  int pad_top, pad_left, groups;
  bool zero_padding;  // padded taps contribute nothing, else they count as +1

  B1_INLINE int words_in() const { return words_for(channels_in); }
  B1_INLINE int group_words() const { return words_for(channels_in / groups); }
  B1_INLINE int group_channels_out() const { return channels_out / groups; }
  B1_INLINE int pixels() const { return batch * out_h * out_w; }
  // Rows and columns that the taps of any output pixel touch, padding included.
  B1_INLINE int padded_h() const {
    return span(in_h, pad_top, out_h, stride_h, kernel_h, dilation_h);
  }
  B1_INLINE int padded_w() const {
    return span(in_w, pad_left, out_w, stride_w, kernel_w, dilation_w);
  }
  B1_INLINE bool needs_padding() const { return padded_h() != in_h || padded_w() != in_w; }

 private:
  B1_INLINE static int span(int in, int pad, int out, int stride, int kernel, int dilation) {
    return max((out - 1) * stride + (kernel - 1) * dilation + 1, in + pad);
  }
};

}  // namespace b1
