// The operators that the delegate knows; op_types.cc lists them once more.
#pragma once

#include "graph.h"

namespace onebit {

extern const OpType kQuantize, kDequantize, kBconv, kBMaxPool;
extern const OpType kAdd, kMul, kConcat, kReshape, kMaxPool;
extern const OpType kWeightOnlyDense, kWeightOnlyConv, kWeightOnlyDepthwise;

}  // namespace onebit
