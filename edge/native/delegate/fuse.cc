// Merges operators of a partition.
//
// It happens each time the graph is prepared, when all types and shapes are known: an ADD of equal
// shapes may broadcast after an input was resized. Each function below states the whole
// precondition of its merge, and otherwise leaves the operators separate, which is always correct.
//
// The order matters: per-channel constants go into weight-only layers; then a residual ADD is
// merged into the convolution that feeds it first, so that an LceQuantize of the sum can then be
// merged into the same convolution. Looking for producers and readers is quadratic in the number of
// operators, which takes milliseconds for thousands of them.
#include "op_types.h"

namespace onebit {
namespace {

// Positions are those in `order`, which holds the operators that run.
class Fuser {
 public:
  explicit Fuser(Partition& partition) : p_(partition) {}

  void run() {
    remove_unread();
    for (int i = 0; i < size(); ++i) {
      if (merge_channel_constant(i)) --i;
    }
    for (int i = 0; i < size(); ++i) {
      if (merge_add(i)) --i;
    }
    for (int i = 0; i < size(); ++i) {
      if (merge_normalisation(i)) --i;
    }
    for (int i = 0; i < size(); ++i) {
      if (merge_quantize(i)) --i;
    }
  }

 private:
  int size() const { return p_.order.size(); }
  Op& at(int position) { return p_.ops[p_.order[position]]; }

  int reader_count(int value) {
    int count = p_.values[value].is_output ? 1 : 0;
    for (int i = 0; i < size(); ++i) {
      for (const int input : at(i).inputs) count += input == value;
    }
    return count;
  }

  // The position of the operator that makes a value as its only output, or -1.
  int producer(int value) {
    for (int i = 0; i < size(); ++i) {
      if (at(i).outputs[0] == value) return at(i).outputs[1] < 0 ? i : -1;
    }
    return -1;
  }

  // The same for a value with a single reader, or -1: the two operators can become one.
  int sole_producer(int value) {
    return value >= 0 && reader_count(value) == 1 ? producer(value) : -1;
  }

  // Records in `into`, for the profile, the operator that it absorbs and all that this absorbed.
  static void note_merged(const Op& part, Op* into) {
    int end = 0;
    while (into->merged[end]) ++end;
    const char* name = part.type->name;
    for (int i = 0; name && end < Op::kMaxMerged; name = part.merged[i++]) {
      into->merged[end++] = name;
    }
    into->merged[end] = nullptr;
  }

  static bool can(const Op& op, unsigned merge) { return (op.merges & merge) != 0; }

  // An LceDequantize, and the RESHAPE after it, whose reader takes the packed constant has no
  // reader left.
  void remove_unread() {
    for (int i = size() - 1; i >= 0; --i) {
      if (reader_count(at(i).outputs[0]) == 0) p_.order.remove(i);
    }
  }

  // A layer or a MUL by constants, then a MUL by constants or an ADD of some.
  //
  // The layer: nothing between its sum and the constants, which no activation is, and a scale comes
  // before an offset.
  bool merge_channel_constant(int position) {
    Op& step = at(position);
    if (step.channel_constant < 0 || step.offset >= 0) return false;
    const bool multiplies = step.type == &kMul;
    const int from = sole_producer(step.inputs[1 - step.channel_constant]);
    if (from < 0) return false;
    Op& source = at(from);
    if (!can(source, multiplies ? kTakesScale : kTakesOffset) || source.offset >= 0 ||
        (multiplies && source.scale >= 0) || source.activation != kTfLiteActNone ||
        source.merged_activation != kTfLiteActNone) {
      return false;
    }
    (multiplies ? source.scale : source.offset) = step.inputs[step.channel_constant];
    source.merged_activation = step.activation;
    source.outputs[0] = step.outputs[0];
    note_merged(step, &source);
    p_.order.remove(position);
    return true;
  }

  // A convolution, then the ADD of a value of the same shape: one operator in the ADD's place,
  // where that value is ready too.
  bool merge_add(int position) {
    Op& add = at(position);
    if (add.type != &kAdd || add.channel_constant >= 0 ||
        !same_dims(p_.values[add.inputs[0]], p_.values[add.inputs[1]])) {
      return false;
    }
    for (int side = 0; side < 2; ++side) {
      const int from = sole_producer(add.inputs[side]);
      if (from < 0 || !can(at(from), kTakesResidual) || at(from).inputs[Op::kResidual] >= 0) {
        continue;
      }
      Op& conv = at(from);
      conv.inputs[Op::kResidual] = add.inputs[1 - side];
      conv.merged_activation = add.activation;
      conv.outputs[0] = add.outputs[0];
      note_merged(add, &conv);
      p_.order[position] = p_.order[from];
      p_.order.remove(from);
      return true;
    }
    return false;
  }

  // A MUL by constants, an ADD of some, or both, then a pooling that has no normalisation yet.
  bool merge_normalisation(int position) {
    Op& pool = at(position);
    if (!can(pool, kNormalisesInput) || pool.scale >= 0 || pool.offset >= 0) return false;
    const int from = sole_producer(pool.inputs[0]);
    if (from < 0) return false;
    const Op& step = at(from);
    const bool multiplies = step.type == &kMul;
    if ((!multiplies && step.type != &kAdd) || step.channel_constant < 0 ||
        step.activation != kTfLiteActNone || step.merged_activation != kTfLiteActNone) {
      return false;
    }
    const int constant = step.inputs[step.channel_constant];
    pool.scale = multiplies ? constant : -1;
    pool.offset = multiplies ? step.offset : constant;
    pool.inputs[0] = step.inputs[1 - step.channel_constant];
    note_merged(step, &pool);
    p_.order.remove(from);
    return true;
  }

  // A float result that is quantized next: its producer also writes the bits, and skips the floats
  // if nothing else reads them.
  bool merge_quantize(int position) {
    const Op& quantize = at(position);
    if (quantize.type != &kQuantize) return false;
    const int value = quantize.inputs[0], from = producer(value);
    if (from < 0 || !can(at(from), kEmitsBits)) return false;
    Op& source = at(from);
    source.outputs[1] = quantize.outputs[0];
    note_merged(quantize, &source);
    p_.order.remove(position);
    if (!can(source, kKeepsFloats) && reader_count(value) == 0) source.outputs[0] = -1;
    return true;
  }

  Partition& p_;
};

}  // namespace

bool fuse_ops(Partition& p) {
  p.order.truncate(0);
  for (int i = 0; i < p.ops.size(); ++i) {
    if (!p.order.push(i)) return false;
  }
  if (p.delegate->options.fuse) Fuser(p).run();
  return true;
}

}  // namespace onebit
