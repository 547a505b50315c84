// Which nodes the delegate takes: LCE's operators, whatever their options, and those built-in ones
// around them that it computes better than anyone who does not know the bits.
#include <string.h>

#include "op_elementwise.h"

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

struct Candidate {
  int index;  // in the interpreter's graph
  TfLiteNode* node;
  int builtin;         // -1 for custom operators
  const OpType* type;  // nullptr for operators that are never taken
  bool taken;
};

class Chooser {
 public:
  Chooser(TfLiteContext* context, const TfLiteIntArray& plan) : context_(*context) {
    for (int i = 0; i < plan.size; ++i) {
      Candidate c = {};
      TfLiteRegistration* registration;
      c.index = plan.data[i];
      if (context->GetNodeAndRegistration(context, c.index, &c.node, &registration) != kTfLiteOk) {
        continue;
      }
      c.type = find_op_type(*registration);
      c.builtin = registration->custom_name ? -1 : registration->builtin_code;
      c.taken = c.type != nullptr && registration->custom_name != nullptr;
      nodes_.push(c);
    }
  }

  void take_neighbours(Array<FlatFilter>* flat_filters) {
    for (Candidate& c : nodes_) {
      if (is_weight_only(c)) take_weight_only(c, flat_filters);
    }
    for (Candidate& c : nodes_) {
      if (is_residual_add(c)) c.taken = true;
    }
    for (Candidate& c : nodes_) {
      if (c.taken && c.builtin == kTfLiteBuiltinAdd) join_convolution(c);
    }
    for (Candidate& c : nodes_) {
      if (is_dense_block(c)) c.taken = true;
    }
    for (Candidate& c : nodes_) {
      if (is_bordering_pool(c)) c.taken = true;
    }
    // Backwards, so that MUL -> ADD -> LceQuantize is taken whole.
    for (int i = nodes_.size() - 1; i >= 0; --i) {
      if (is_normalisation(nodes_[i])) nodes_[i].taken = true;
    }
  }

  void list(Array<int>* nodes) const {
    for (const Candidate& c : nodes_) {
      if (c.taken) nodes->push(c.index);
    }
  }

 private:
  const TfLiteTensor* tensor(const TfLiteIntArray* list, int i) const {
    if (i >= list->size) return nullptr;
    const int index = list->data[i];
    if (index < 0 || static_cast<size_t>(index) >= context_.tensors_size) return nullptr;
    return &context_.tensors[index];
  }

  static bool is_float(const TfLiteTensor* t) {
    return t && t->type == kTfLiteFloat32 && t->dims && !t->is_variable;
  }
  static bool is_constant(const TfLiteTensor* t) {
    return t->allocation_type == kTfLiteMmapRo && t->data != nullptr;
  }

  Candidate* producer(int value) {
    for (Candidate& c : nodes_) {
      for (int i = 0; i < c.node->outputs->size; ++i) {
        if (c.node->outputs->data[i] == value) return &c;
      }
    }
    return nullptr;
  }

  // The only node that reads a tensor, and which input it is; nullptr if there are more or none.
  Candidate* only_reader(int value, int* input) {
    Candidate* found = nullptr;
    for (Candidate& c : nodes_) {
      for (int i = 0; i < c.node->inputs->size; ++i) {
        if (c.node->inputs->data[i] != value) continue;
        if (found) return nullptr;
        found = &c;
        *input = i;
      }
    }
    return found;
  }

  // ADD or MUL of two floats with options that this library knows.
  bool is_elementwise(const Candidate& c) const {
    if (c.builtin != kTfLiteBuiltinAdd && c.builtin != kTfLiteBuiltinMul) return false;
    if (!c.node->builtin_data || c.node->inputs->size != 2 || c.node->outputs->size != 1) {
      return false;
    }
    return known_activation(activation(c)) && is_float(tensor(c.node->inputs, 0)) &&
           is_float(tensor(c.node->inputs, 1)) && is_float(tensor(c.node->outputs, 0));
  }
  static int activation(const Candidate& c) {
    return static_cast<const TfLiteElementwiseParams*>(c.node->builtin_data)->activation;
  }
  static bool known_activation(int value) {
    return value >= kTfLiteActNone && value <= kTfLiteActRelu6;
  }
  bool has_channel_constant(const Candidate& c) const {
    return is_channel_constant(context_, *c.node, 0) || is_channel_constant(context_, *c.node, 1);
  }

  // The sum of two tensors of one shape, one of which a binary convolution makes.
  bool is_residual_add(const Candidate& c) {
    if (c.taken || c.builtin != kTfLiteBuiltinAdd || !is_elementwise(c)) return false;
    const TfLiteTensor &a = *tensor(c.node->inputs, 0), &b = *tensor(c.node->inputs, 1);
    if (&a == &b || is_constant(&a) || is_constant(&b) || a.dims->size != b.dims->size)
      return false;
    for (int i = 0; i < a.dims->size; ++i) {
      if (a.dims->data[i] != b.dims->data[i]) return false;
    }
    for (int side = 0; side < 2; ++side) {
      const Candidate* source = producer(c.node->inputs->data[side]);
      if (source && source->type == &kBconv) return a.dims->size > 0;
    }
    return false;
  }

  // Where an operator outside the delegate stands between a convolution and its residual ADD, the
  // partitioner puts them into different partitions, which cannot be merged. It keeps them together
  // if the convolution seems to need the ADD's other operand: this goes where its thresholds would
  // stand, which a float output does not have.
  void join_convolution(const Candidate& add) {
    for (int side = 0; side < 2; ++side) {
      const int value = add.node->inputs->data[side], other = add.node->inputs->data[1 - side];
      Candidate *conv = producer(value), *source = producer(other);
      int input = 0;
      if (!conv || conv->type != &kBconv || !source || source->taken || source > conv ||
          only_reader(value, &input) != &add || conv->node->inputs->size != 5) {
        continue;
      }
      int* thresholds = &conv->node->inputs->data[4];
      if (*thresholds != kTfLiteOptionalTensor) continue;
      *thresholds = other;
      return;
    }
  }

  // A per-channel MUL or ADD whose result is only quantized or pooled, perhaps after another such
  // step.
  bool is_normalisation(const Candidate& c) {
    if (c.taken || !is_elementwise(c) || !has_channel_constant(c)) return false;
    const int value = c.node->outputs->data[0];
    int readers = 0;
    for (const Candidate& reader : nodes_) {
      for (int i = 0; i < reader.node->inputs->size; ++i) {
        if (reader.node->inputs->data[i] != value) continue;
        const bool next = is_elementwise(reader) && has_channel_constant(reader);
        const bool ends = reader.type == &kQuantize || reader.type == &kMaxPool;
        if (!reader.taken || (!ends && !next)) return false;
        ++readers;
      }
    }
    return readers > 0;
  }

  // The maximum pooling of floats that a taken operator reads, or that reads what one made, perhaps
  // after a normalisation.
  bool is_bordering_pool(const Candidate& c) {
    if (c.builtin != kTfLiteBuiltinMaxPool2d || !c.node->builtin_data ||
        c.node->inputs->size != 1 || c.node->outputs->size != 1) {
      return false;
    }
    const TfLiteTensor *in = tensor(c.node->inputs, 0), *out = tensor(c.node->outputs, 0);
    const auto& options = *static_cast<const TfLitePoolParams*>(c.node->builtin_data);
    if (!is_float(in) || !is_float(out) || is_constant(in) || in->dims->size != 4 ||
        !known_activation(options.activation) ||
        (options.padding != kTfLitePaddingSame && options.padding != kTfLitePaddingValid)) {
      return false;
    }
    for (const Candidate& reader : nodes_) {
      for (int i = 0; reader.taken && i < reader.node->inputs->size; ++i) {
        if (reader.node->inputs->data[i] == c.node->outputs->data[0]) return true;
      }
    }
    // At most a MUL and an ADD stand between; a malformed file may have a ring of them.
    const Candidate* source = producer(c.node->inputs->data[0]);
    for (int step = 0; step < 2 && source && !source->taken; ++step) {
      if (!is_elementwise(*source) || !has_channel_constant(*source)) break;
      source = producer(source->node->inputs->data[is_constant(tensor(source->node->inputs, 0))]);
    }
    return source && source->taken;
  }

  // A concatenation of floats along the channels, one of which a binary convolution makes.
  bool is_dense_block(const Candidate& c) {
    const TfLiteTensor* out = tensor(c.node->outputs, 0);
    if (c.builtin != kTfLiteBuiltinConcatenation || !c.node->builtin_data || !is_float(out) ||
        c.node->outputs->size != 1 || c.node->inputs->size > Op::kMaxInputs) {
      return false;
    }
    const auto& options = *static_cast<const TfLiteConcatenationParams*>(c.node->builtin_data);
    const int rank = out->dims->size;
    if (rank < 1 || options.activation != kTfLiteActNone ||
        (options.axis != -1 && options.axis != rank - 1)) {
      return false;
    }
    bool binary = false;
    for (int i = 0; i < c.node->inputs->size; ++i) {
      const TfLiteTensor* in = tensor(c.node->inputs, i);
      if (!is_float(in) || is_constant(in)) return false;
      const Candidate* source = producer(c.node->inputs->data[i]);
      binary |= source && source->type == &kBconv;
    }
    return binary;
  }

  // A layer of floats whose weights are the LceDequantize of a constant.
  bool is_weight_only(const Candidate& c) {
    if (c.builtin != kTfLiteBuiltinFullyConnected && c.builtin != kTfLiteBuiltinConv2d &&
        c.builtin != kTfLiteBuiltinDepthwiseConv2d) {
      return false;
    }
    if (!c.node->builtin_data || c.node->inputs->size < 2 || c.node->outputs->size != 1 ||
        !is_float(tensor(c.node->inputs, 0)) || is_constant(tensor(c.node->inputs, 0)) ||
        !is_float(tensor(c.node->inputs, 1)) || !is_float(tensor(c.node->outputs, 0))) {
      return false;
    }
    if (c.builtin == kTfLiteBuiltinFullyConnected &&
        static_cast<const TfLiteFullyConnectedParams*>(c.node->builtin_data)->weights_format != 0) {
      return false;
    }
    const TfLiteTensor* bias = tensor(c.node->inputs, 2);
    if (!known_activation(layer_activation(c)) ||
        (bias && (!is_float(bias) || !is_constant(bias)))) {
      return false;
    }
    const Candidate* source = producer(c.node->inputs->data[1]);
    if (source && is_filter_reshape(*source)) source = producer(source->node->inputs->data[0]);
    if (!source || source->type != &kDequantize || source->node->inputs->size != 1) return false;
    const TfLiteTensor* packed = tensor(source->node->inputs, 0);
    return packed && packed->type == kTfLiteInt32 && is_constant(packed);
  }
  // [O, K] -> [O, KH, KW, C], floats.
  bool is_filter_reshape(const Candidate& c) const {
    if (c.builtin != kTfLiteBuiltinReshape || c.node->inputs->size < 1 ||
        c.node->outputs->size != 1) {
      return false;
    }
    const TfLiteTensor *in = tensor(c.node->inputs, 0), *out = tensor(c.node->outputs, 0);
    return is_float(in) && is_float(out) && in->dims->size == 2 && out->dims->size == 4;
  }
  static int layer_activation(const Candidate& c) {
    if (c.builtin == kTfLiteBuiltinFullyConnected) {
      return static_cast<const TfLiteFullyConnectedParams*>(c.node->builtin_data)->activation;
    }
    if (c.builtin == kTfLiteBuiltinConv2d) {
      return static_cast<const TfLiteConvParams*>(c.node->builtin_data)->activation;
    }
    return static_cast<const TfLiteDepthwiseConvParams*>(c.node->builtin_data)->activation;
  }

  // Takes the layer and the per-channel MUL and ADD that follow it. The layer then reads the packed
  // constant itself: left as it was, the partitioner could put LceDequantize into an earlier
  // partition, whose output, the unpacked weights, would need memory.
  void take_weight_only(Candidate& c, Array<FlatFilter>* flat_filters) {
    c.taken = true;
    Candidate* source = producer(c.node->inputs->data[1]);
    if (source->builtin == kTfLiteBuiltinReshape) {
      flat_filters->push({c.index, c.node->inputs->data[1]});
      source->taken = true;
      source = producer(source->node->inputs->data[0]);
    }
    c.node->inputs->data[1] = source->node->inputs->data[0];
    Candidate* last = &c;
    bool active = layer_activation(c) != kTfLiteActNone;
    constexpr int kSteps[] = {kTfLiteBuiltinMul, kTfLiteBuiltinAdd};
    for (const int next : kSteps) {
      int input = 0;
      Candidate* reader = only_reader(last->node->outputs->data[0], &input);
      if (!reader || reader->builtin != next || active || !is_elementwise(*reader) ||
          !is_channel_constant(context_, *reader->node, 1 - input)) {
        continue;
      }
      reader->taken = true;
      last = reader;
      active = activation(*reader) != kTfLiteActNone;
    }
  }

  TfLiteContext& context_;
  Array<Candidate> nodes_;
};

}  // namespace

const OpType* find_op_type(const TfLiteRegistration& registration) {
  if (registration.custom_name == nullptr) {
    switch (registration.builtin_code) {
      case kTfLiteBuiltinAdd:
        return &kAdd;
      case kTfLiteBuiltinMul:
        return &kMul;
      case kTfLiteBuiltinMaxPool2d:
        return &kMaxPool;
      case kTfLiteBuiltinConcatenation:
        return &kConcat;
      case kTfLiteBuiltinReshape:
        return &kReshape;
      case kTfLiteBuiltinFullyConnected:
        return &kWeightOnlyDense;
      case kTfLiteBuiltinConv2d:
        return &kWeightOnlyConv;
      case kTfLiteBuiltinDepthwiseConv2d:
        return &kWeightOnlyDepthwise;
      default:
        return nullptr;
    }
  }
  for (const Named& op : kCustomOps) {
    if (strcmp(registration.custom_name, op.name) == 0) return op.type;
  }
  return nullptr;
}

void choose_nodes(TfLiteContext* context, const TfLiteIntArray& plan, Delegate* delegate,
                  Array<int>* nodes) {
  Chooser chooser(context, plan);
  delegate->flat_filters.resize(0);
  if (delegate->options.fuse) chooser.take_neighbours(&delegate->flat_filters);
  chooser.list(nodes);
}

}  // namespace onebit
