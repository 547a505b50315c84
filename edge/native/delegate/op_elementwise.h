// ADD and MUL of floats: residual sums that could not be merged into a convolution, and per-channel
// constants (a folded batch normalisation) before LceQuantize or after a weight-only layer.
#pragma once

#include "graph.h"

namespace onebit {

// The range that a fused activation clamps floats to.
void activation_range(int activation, float* low, float* high);

// Copies a constant of one value, or one a channel. False after `fail`.
bool copy_channel_constant(Partition& p, Op& op, int value, int channels, float* to);

// Whether input `side` of an ADD or MUL is a float constant with one value, or one per channel of
// the other input, which has the shape of the output.
bool is_channel_constant(const TfLiteContext& context, const TfLiteNode& node, int side);

}  // namespace onebit
