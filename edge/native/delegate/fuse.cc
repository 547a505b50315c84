// Which operators of a partition are merged.
//
// The order matters: per-channel constants go into weight-only layers; then a residual ADD is
// merged into the convolution that feeds it first, so that an LceQuantize of the sum can then be
// merged into the same convolution.
#include "op_bconv.h"
#include "op_elementwise.h"
#include "op_maxpool.h"
#include "op_weight_only.h"

namespace onebit {
namespace {

int readers(const Partition& p, int value, int* reader) {
  int count = p.values[value].is_output ? 1 : 0;
  for (int i = 0; i < p.ops.size(); ++i) {
    for (int input : p.ops[i].inputs) {
      if (input != value) continue;
      ++count;
      *reader = i;
    }
  }
  return count;
}

int producer(const Partition& p, int value) {
  for (int i = 0; i < p.ops.size(); ++i) {
    if (p.ops[i].outputs[0] == value || p.ops[i].outputs[1] == value) return i;
  }
  return -1;
}

// Notes for the profile that an operator, and what became part of it, became part of `into`.
void note_merged(const Op& part, Op* into) {
  int end = 0;
  while (into->merged[end]) ++end;
  const char* name = part.type->name;
  for (int i = 0; name && end < Op::kMaxMerged; name = part.merged[i++]) into->merged[end++] = name;
}

void remove_op(Partition& p, int at) {
  p.ops[at].type->release(p.ops[at]);
  for (int i = at; i + 1 < p.ops.size(); ++i) p.ops[i] = p.ops[i + 1];
  p.ops.resize(p.ops.size() - 1);
}

// conv -> ADD becomes one operator in the ADD's place, where the other operand is ready too.
bool merge_add(Partition& p, int add) {
  for (int side = 0; side < 2; ++side) {
    const ElementwiseState& sum = *static_cast<ElementwiseState*>(p.ops[add].state);
    const int value = p.ops[add].inputs[side], conv = producer(p, value);
    int reader;
    if (sum.constant >= 0) return false;
    if (conv < 0 || conv >= add || p.ops[conv].type != &kBconv || readers(p, value, &reader) != 1 ||
        p.values[value].type != kTfLiteFloat32) {
      continue;
    }
    Op merged = p.ops[conv];
    BconvState& state = *static_cast<BconvState*>(merged.state);
    state.has_add = true;
    state.add_activation = sum.activation;
    merged.inputs[kBconvResidual] = p.ops[add].inputs[1 - side];
    merged.inputs[kBconvThresholds] = -1;  // may stand for the residual (see choose.cc)
    merged.outputs[0] = p.ops[add].outputs[0];
    note_merged(p.ops[add], &merged);
    p.ops[add].type->release(p.ops[add]);
    p.ops[add] = merged;
    for (int i = conv; i + 1 < p.ops.size(); ++i) p.ops[i] = p.ops[i + 1];
    p.ops.resize(p.ops.size() - 1);
    return true;
  }
  return false;
}

// A float result that is quantized next also leaves its producer as bits, and only so if nobody
// else reads the floats.
bool merge_quantize(Partition& p, int quantize) {
  const int value = p.ops[quantize].inputs[0], bits = p.ops[quantize].outputs[0];
  const int source = producer(p, value);
  if (source < 0 || p.ops[source].outputs[1] >= 0 || p.ops[source].outputs[0] != value ||
      p.values[value].type != kTfLiteFloat32 || p.values[bits].type != kTfLiteInt32 ||
      (p.ops[source].type != &kBconv && p.ops[source].type != &kAdd &&
       p.ops[source].type != &kMul && p.ops[source].type != &kMaxPool)) {
    return false;
  }
  p.ops[source].outputs[1] = bits;
  note_merged(p.ops[quantize], &p.ops[source]);
  remove_op(p, quantize);
  int reader;
  if (p.ops[source].type != &kMaxPool && readers(p, value, &reader) == 0) {
    p.ops[source].outputs[0] = -1;
  }
  return true;
}

bool is_weight_only(const Op& op) {
  return op.type == &kWeightOnlyDense || op.type == &kWeightOnlyConv ||
         op.type == &kWeightOnlyDepthwise;
}

// layer -> MUL by a constant -> ADD of a constant: the scale, the bias and the activation of a
// weight-only layer.
bool merge_channel_constant(Partition& p, int step) {
  const ElementwiseState& state = *static_cast<ElementwiseState*>(p.ops[step].state);
  if (state.constant < 0) return false;
  const int value = p.ops[step].inputs[1 - state.constant], source = producer(p, value);
  int reader;
  if (source < 0 || !is_weight_only(p.ops[source]) || readers(p, value, &reader) != 1) return false;
  WeightOnlyState& layer = *static_cast<WeightOnlyState*>(p.ops[source].state);
  const bool multiply = p.ops[step].type == &kMul;
  if (layer.activation != kTfLiteActNone || layer.add >= 0 || (multiply && layer.scale >= 0)) {
    return false;
  }
  (multiply ? layer.scale : layer.add) = p.ops[step].inputs[state.constant];
  layer.activation = state.activation;
  note_merged(p.ops[step], &p.ops[source]);
  p.ops[source].outputs[0] = p.ops[step].outputs[0];
  remove_op(p, step);
  return true;
}

// MUL by a constant -> ADD of a constant: one operator.
bool merge_offset(Partition& p, int add) {
  const ElementwiseState& sum = *static_cast<ElementwiseState*>(p.ops[add].state);
  if (sum.constant < 0) return false;
  const int value = p.ops[add].inputs[1 - sum.constant], mul = producer(p, value);
  int reader;
  if (mul < 0 || p.ops[mul].type != &kMul || readers(p, value, &reader) != 1) return false;
  ElementwiseState& product = *static_cast<ElementwiseState*>(p.ops[mul].state);
  if (product.constant < 0 || product.add >= 0 || product.activation != kTfLiteActNone) {
    return false;
  }
  product.add = p.ops[add].inputs[sum.constant];
  product.activation = sum.activation;
  note_merged(p.ops[add], &p.ops[mul]);
  p.ops[mul].outputs[0] = p.ops[add].outputs[0];
  remove_op(p, add);
  return true;
}

// MUL by a constant, ADD of one, or both (see merge_offset) -> MAX_POOL_2D: one operator.
bool merge_normalisation(Partition& p, int pool) {
  const int value = p.ops[pool].inputs[0], step = producer(p, value);
  int reader;
  if (step < 0 || readers(p, value, &reader) != 1 ||
      (p.ops[step].type != &kMul && p.ops[step].type != &kAdd)) {
    return false;
  }
  const ElementwiseState& normal = *static_cast<ElementwiseState*>(p.ops[step].state);
  if (normal.constant < 0 || normal.activation != kTfLiteActNone) return false;
  MaxPoolState& state = *static_cast<MaxPoolState*>(p.ops[pool].state);
  const int constant = p.ops[step].inputs[normal.constant];
  state.scale = p.ops[step].type == &kMul ? constant : -1;
  state.offset = p.ops[step].type == &kMul ? normal.add : constant;
  note_merged(p.ops[step], &p.ops[pool]);
  p.ops[pool].inputs[0] = p.ops[step].inputs[1 - normal.constant];
  remove_op(p, step);
  return true;
}

}  // namespace

bool reads_rows(const Op& op, int value) {
  if (op.type == &kConcat || op.type == &kQuantize || op.type == &kMaxPool) return true;
  if (op.type != &kAdd && op.type != &kMul) return false;
  const int constant = static_cast<const ElementwiseState*>(op.state)->constant;
  return constant >= 0 && op.inputs[1 - constant] == value;
}

bool writes_rows(const Op& op, int value) {
  return op.outputs[0] == value &&
         (op.type == &kConcat || op.type == &kBconv || op.type == &kMaxPool);
}

int residual_of(const Op& op) { return op.type == &kBconv ? op.inputs[kBconvResidual] : -1; }

void fuse_ops(Partition& p) {
  if (!p.delegate->options.fuse) return;
  // An LceDequantize, and the RESHAPE after it, whose reader took the packed constant has none
  // left.
  for (int i = p.ops.size() - 1; i >= 0; --i) {
    int reader;
    const bool unpacks = p.ops[i].type == &kDequantize || p.ops[i].type == &kReshape;
    if (unpacks && readers(p, p.ops[i].outputs[0], &reader) == 0) {
      remove_op(p, i);
    }
  }
  for (int i = 0; i < p.ops.size(); ++i) {
    const bool elementwise = p.ops[i].type == &kAdd || p.ops[i].type == &kMul;
    if (elementwise && merge_channel_constant(p, i)) --i;
  }
  for (int i = 0; i < p.ops.size(); ++i) {
    if (p.ops[i].type == &kAdd && (merge_add(p, i) || merge_offset(p, i))) --i;
  }
  for (int i = 0; i < p.ops.size(); ++i) {
    if (p.ops[i].type == &kMaxPool && merge_normalisation(p, i)) --i;
  }
  for (int i = 0; i < p.ops.size(); ++i) {
    if (p.ops[i].type == &kQuantize && merge_quantize(p, i)) --i;
  }
}

}  // namespace onebit
