// Sliding windows, and options of LCE's operators with their ranges.
#pragma once

#include "graph.h"

namespace onebit {

// Larger windows, strides and dilations than any network has; sums of products of such numbers with
// dimensions below 2^30 stay within 64 bits.
constexpr int kMaxWindow = 1 << 15;

struct Window {
  int kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  int pad_top, pad_left, out_h, out_w;

  // Computes padding and output size as TensorFlow does. False when no output is left, or padding
  // would make the input unreasonably large.
  bool place(int in_h, int in_w, bool same);
};

// Reads an integer option within [low, high]; `fallback` stands in for an absent one, and without
// it the option must be there. Returns false after `fail`.
bool read_option(Partition& p, const Op& op, const TfLiteNode& node, const char* key, int low,
                 int high, const int* fallback, int* value);

}  // namespace onebit
