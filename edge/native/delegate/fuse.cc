// Which nodes the delegate takes, and which of them it merges.
//
// The order matters: a residual ADD is merged into the convolution that feeds it first, so that an
// LceQuantize of the sum can then be merged into the same convolution.
#include <string.h>

#include "op_bconv.h"

namespace onebit {
namespace {

struct Named {
  const char* name;
  const OpType* type;
};
const Named kCustomOps[] = {
    {"LceQuantize", &kQuantize},
    {"LceDequantize", &kDequantize},
    {"LceBconv2d", &kBconv},
    {"LceBMaxPool2d", &kBMaxPool},
};

bool same_shape(const TfLiteTensor& a, const TfLiteTensor& b) {
  if (!a.dims || !b.dims || a.dims->size != b.dims->size) return false;
  for (int i = 0; i < a.dims->size; ++i) {
    if (a.dims->data[i] != b.dims->data[i]) return false;
  }
  return a.dims->size > 0;
}

// Whether a node is the ADD of two float tensors of one shape, one of which is in `produced`.
bool is_residual_add(const TfLiteContext& context, const TfLiteNode& node,
                     const TfLiteRegistration& registration, const Array<int>& produced) {
  if (registration.builtin_code != kTfLiteBuiltinAdd || registration.custom_name ||
      node.builtin_data == nullptr || node.inputs->size != 2 || node.outputs->size != 1) {
    return false;
  }
  const int activation = static_cast<const TfLiteElementwiseParams*>(node.builtin_data)->activation;
  if (activation < kTfLiteActNone || activation > kTfLiteActRelu6) return false;
  for (int i = 0; i < 3; ++i) {
    const int tensor = i < 2 ? node.inputs->data[i] : node.outputs->data[0];
    if (tensor < 0 || static_cast<size_t>(tensor) >= context.tensors_size) return false;
    const TfLiteTensor& t = context.tensors[tensor];
    if (t.type != kTfLiteFloat32 || t.allocation_type == kTfLiteMmapRo || t.is_variable)
      return false;
  }
  const int a = node.inputs->data[0], b = node.inputs->data[1];
  if (a == b || !(produced.contains(a) || produced.contains(b))) return false;
  return same_shape(context.tensors[a], context.tensors[b]);
}

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

void remove_op(Partition& p, int at) {
  p.ops[at].type->release(p.ops[at]);
  for (int i = at; i + 1 < p.ops.size(); ++i) p.ops[i] = p.ops[i + 1];
  p.ops.resize(p.ops.size() - 1);
}

// conv -> ADD becomes one operator in the ADD's place, where the other operand is ready too.
bool merge_add(Partition& p, int add) {
  for (int side = 0; side < 2; ++side) {
    const int value = p.ops[add].inputs[side], conv = producer(p, value);
    int reader;
    if (conv < 0 || conv >= add || p.ops[conv].type != &kBconv || readers(p, value, &reader) != 1 ||
        p.values[value].type != kTfLiteFloat32) {
      continue;
    }
    Op merged = p.ops[conv];
    BconvState& state = *static_cast<BconvState*>(merged.state);
    // Only the activation is read here: parse keeps it as the first field of either state.
    state.has_add = true;
    state.add_activation = *static_cast<int*>(p.ops[add].state);
    merged.inputs[kBconvResidual] = p.ops[add].inputs[1 - side];
    merged.outputs[0] = p.ops[add].outputs[0];
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
      (p.ops[source].type != &kBconv && p.ops[source].type != &kAdd)) {
    return false;
  }
  p.ops[source].outputs[1] = bits;
  remove_op(p, quantize);
  int reader;
  if (p.ops[source].type == &kBconv && readers(p, value, &reader) == 0)
    p.ops[source].outputs[0] = -1;
  return true;
}

}  // namespace

const OpType* find_op_type(const TfLiteRegistration& registration) {
  if (registration.custom_name == nullptr) {
    return registration.builtin_code == kTfLiteBuiltinAdd ? &kAdd : nullptr;
  }
  for (const Named& op : kCustomOps) {
    if (strcmp(registration.custom_name, op.name) == 0) return op.type;
  }
  return nullptr;
}

void choose_nodes(TfLiteContext* context, const TfLiteIntArray& plan, const Options& options,
                  Array<int>* nodes) {
  Array<int> convolved;
  for (int i = 0; i < plan.size; ++i) {
    TfLiteNode* node;
    TfLiteRegistration* registration;
    if (context->GetNodeAndRegistration(context, plan.data[i], &node, &registration) != kTfLiteOk) {
      continue;
    }
    const bool lce = registration->custom_name != nullptr && find_op_type(*registration) != nullptr;
    const bool add = options.fuse && is_residual_add(*context, *node, *registration, convolved);
    if (!lce && !add) continue;
    nodes->push(plan.data[i]);
    if (lce && find_op_type(*registration) == &kBconv && node->outputs->size == 1) {
      convolved.push(node->outputs->data[0]);
    }
  }
}

void fuse_ops(Partition& p) {
  if (!p.delegate->options.fuse) return;
  for (int i = 0; i < p.ops.size(); ++i) {
    if (p.ops[i].type == &kAdd && merge_add(p, i)) --i;
  }
  for (int i = 0; i < p.ops.size(); ++i) {
    if (p.ops[i].type == &kQuantize && merge_quantize(p, i)) --i;
  }
}

}  // namespace onebit
