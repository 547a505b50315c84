// LceBconv2d with what was merged into it: a residual ADD and the LceQuantize that follows.
#pragma once

#include "geometry.h"
#include "graph.h"

namespace onebit {

struct BconvState {
  Window window;
  bool same, pad_ones;
  int channels_in, activation;
  // Merged operators. The residual is input 5; the signs are output 1.
  bool has_add;
  int add_activation;

  b1::BconvShape shape;
  b1::BconvEpilogue epilogue;
  b1::BconvCorrection correction;
  const b1::BconvKernel* kernel;
  const b1::BconvKernel* packed_for;  // the variant that `filter` was packed for
  Buffer filter, channel_data, correction_table, classes;
  b1::BconvCall call;
};

// Inputs of the operator: those of LceBconv2d, then the merged ADD's other operand.
enum { kBconvInput, kBconvFilter, kBconvMultiplier, kBconvBias, kBconvThresholds, kBconvResidual };

}  // namespace onebit
