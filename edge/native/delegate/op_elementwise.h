// ADD and MUL of floats: residual sums that could not be merged into a convolution, and per-channel
// constants (a folded batch normalisation) before LceQuantize or after a weight-only layer.
#pragma once

#include "graph.h"

namespace onebit {

struct ElementwiseState {
  int activation;
  int constant;  // which input is the per-channel constant: 0, 1, or -1 for two tensors
  int add;       // MUL by a constant: the value of another that is added to the product, or -1
  float low, high;
  const float *a, *b;
  size_t stride;  // floats from one row of `a` to the next
  float* out;
  uint32_t* bits;
  int channels;
  bool same_b;       // b has one value per element, not one per channel
  bool affine;       // only the signs of a * scale + offset are wanted
  Buffer constants;  // scale, then offset: `channels` values each
  const b1::PackKernel* pack;
};

// The range that a fused activation clamps floats to.
void activation_range(int activation, float* low, float* high);

// Copies a constant of one value, or one a channel.
bool copy_channel_constant(Partition& p, Op& op, int value, int channels, float* to);

// Whether input `side` of a node is a float constant with one value, or one per channel of the
// other input, which has the shape of the output.
bool is_channel_constant(const TfLiteContext& context, const TfLiteNode& node, int side);

}  // namespace onebit
