// Selects the nodes that the delegate claims: LCE's operators, whatever their options, and those
// built-in ones around them that are faster when computed together with the bits.
//
// The rules here decide what is worth claiming, from the shapes in the file. Shapes may change
// before the graph runs, and those of inner tensors may be wrong. So a claimed operator must
// compute what TFLite computes for any shapes (`OpType::supports`), and merging waits until the
// shapes are known (fuse.cc).
#include "select.h"

#include "op_elementwise.h"
#include "op_types.h"

namespace onebit {
namespace {

struct Candidate {
  Claim claim;
  TfLiteNode* node = nullptr;
  const OpType* type = nullptr;  // nullptr for operators that are never claimed
  bool claimed = false;
};

class NodeSelector {
 public:
  explicit NodeSelector(TfLiteContext* context) : context_(*context) {}

  bool read(TfLiteContext* context, const TfLiteIntArray& plan) {
    if (!candidates_.reserve(plan.size)) return false;
    for (int i = 0; i < plan.size; ++i) {
      Candidate c;
      TfLiteRegistration* registration;
      c.claim.node = plan.data[i];
      if (context->GetNodeAndRegistration(context, c.claim.node, &c.node, &registration) !=
          kTfLiteOk) {
        continue;
      }
      c.type = find_op_type(*registration);
      c.claimed = c.type != nullptr && c.type->builtin < 0;
      if (!candidates_.push(c)) return false;
    }
    if (!find_uses()) return false;
    check_nodes();
    return true;
  }

  bool claim_neighbours(TemporaryWiring* wiring) {
    for (Candidate& c : candidates_) {
      if (is_weight_only(c) && !claim_weight_only(c, wiring)) return false;
    }
    for (Candidate& c : candidates_) {
      if (is_residual_add(c)) c.claimed = true;
    }
    for (Candidate& c : candidates_) {
      if (c.claimed && c.type == &kAdd && !join_convolution(c, wiring)) return false;
    }
    for (Candidate& c : candidates_) {
      if (is_dense_block(c)) c.claimed = true;
    }
    for (Candidate& c : candidates_) {
      if (is_neighbouring_pool(c)) c.claimed = true;
    }
    // Backwards, so that MUL -> ADD -> LceQuantize is claimed whole.
    for (int i = candidates_.size() - 1; i >= 0; --i) {
      if (is_normalisation(candidates_[i])) candidates_[i].claimed = true;
    }
    return true;
  }

  bool list(Selection* selection) const {
    for (const Candidate& c : candidates_) {
      if (c.claimed && !selection->claims.push(c.claim)) return false;
    }
    return true;
  }

 private:
  const TfLiteTensor* input(const Candidate& c, int i) const {
    return tensor_at(context_, c.node->inputs, i);
  }
  const TfLiteTensor* output(const Candidate& c) const {
    return tensor_at(context_, c.node->outputs, 0);
  }
  int output_index(const Candidate& c) const {
    return c.node->outputs->size > 0 ? c.node->outputs->data[0] : -1;
  }

  // How a tensor is used: positions among the candidates.
  struct Uses {
    int writers = 0, writer = -1;
    int readers = 0, first_reader = -1, last_reader = -1, last_input = -1;
  };

  Uses* uses_of(const TfLiteIntArray* list, int i) {
    const int tensor = list->data[i];
    return tensor < 0 || tensor >= uses_.size() ? nullptr : &uses_[tensor];
  }

  bool find_uses() {
    const int tensors = static_cast<int>(context_.tensors_size);
    if (!uses_.reserve(tensors)) return false;
    while (uses_.size() < tensors) {
      if (!uses_.push({})) return false;
    }
    for (int position = 0; position < candidates_.size(); ++position) {
      const TfLiteNode& node = *candidates_[position].node;
      for (int i = 0; i < node.inputs->size; ++i) {
        Uses* uses = uses_of(node.inputs, i);
        if (uses == nullptr) continue;
        if (uses->readers++ == 0) uses->first_reader = position;
        uses->last_reader = position;
        uses->last_input = i;
      }
      for (int i = 0; i < node.outputs->size; ++i) {
        Uses* uses = uses_of(node.outputs, i);
        if (uses == nullptr) continue;
        ++uses->writers;
        uses->writer = position;
      }
    }
    return true;
  }

  // Why an operator may not write its output, or nullptr. The stock interpreter refuses some of
  // these files, and writes out of bounds with others.
  const char* output_fault(const Candidate& c, int position) {
    const TfLiteTensor* out = output(c);
    if (out == nullptr) return nullptr;  // `parse` says so
    if (out->allocation_type == kTfLiteMmapRo) return "its output is a constant of the file";
    if (out->is_variable) return "its output is a variable tensor";
    const Uses& uses = uses_[output_index(c)];
    if (uses.writers > 1) return "another operator writes its output, too";
    const bool early = uses.readers > 0 && uses.first_reader <= position;
    return early ? "its output is read before it is written" : nullptr;
  }

  void check_nodes() {
    for (int i = 0; i < candidates_.size(); ++i) {
      Candidate& c = candidates_[i];
      if (c.type == nullptr) continue;
      c.claim.fault = output_fault(c, i);
      if (c.type->builtin < 0) continue;
      if (c.claim.fault || c.node->outputs->size != 1 || !c.type->supports(context_, *c.node)) {
        c.type = nullptr;
      }
    }
  }

  Candidate* producer(int tensor) {
    if (tensor < 0 || tensor >= uses_.size() || uses_[tensor].writers != 1) return nullptr;
    return &candidates_[uses_[tensor].writer];
  }

  // The only node that reads a tensor, and as which input; nullptr if there are more or none.
  Candidate* only_reader(int tensor, int* at) {
    const Uses& uses = uses_[tensor];
    if (uses.readers != 1) return nullptr;
    *at = uses.last_input;
    return &candidates_[uses.last_reader];
  }

  static bool is_elementwise(const Candidate& c) { return c.type == &kAdd || c.type == &kMul; }
  bool has_channel_constant(const Candidate& c) const {
    return is_channel_constant(context_, *c.node, 0) || is_channel_constant(context_, *c.node, 1);
  }

  // The sum of two tensors one of which a binary convolution makes.
  bool is_residual_add(const Candidate& c) {
    if (c.type != &kAdd || is_constant(*input(c, 0)) || is_constant(*input(c, 1))) return false;
    for (int side = 0; side < 2; ++side) {
      const Candidate* source = producer(c.node->inputs->data[side]);
      if (source && source->type == &kBconv) return true;
    }
    return false;
  }

  // Where an operator outside the delegate lies between a convolution and its residual ADD, the
  // partitioner puts these into different partitions. It keeps them together if the convolution
  // seems to need the ADD's other operand, in place of the thresholds that a float output lacks.
  bool join_convolution(const Candidate& add, TemporaryWiring* wiring) {
    constexpr int kThresholds = 4;
    for (int side = 0; side < 2; ++side) {
      const int value = add.node->inputs->data[side], other = add.node->inputs->data[1 - side];
      Candidate *conv = producer(value), *source = producer(other);
      int at = 0;
      if (!conv || conv->type != &kBconv || !source || source->claimed || source > conv ||
          only_reader(value, &at) != &add || conv->node->inputs->size != kThresholds + 1 ||
          conv->node->inputs->data[kThresholds] != kTfLiteOptionalTensor) {
        continue;
      }
      return wiring->rewire(conv->node->inputs, kThresholds, other);
    }
    return true;
  }

  // A per-channel MUL or ADD whose result is only quantized or pooled, perhaps after another such
  // step.
  bool is_normalisation(const Candidate& c) {
    if (c.claimed || !is_elementwise(c) || !has_channel_constant(c)) return false;
    int readers = 0;
    for (const Candidate& reader : candidates_) {
      for (int i = 0; i < reader.node->inputs->size; ++i) {
        if (reader.node->inputs->data[i] != output_index(c)) continue;
        const bool next = is_elementwise(reader) && has_channel_constant(reader);
        const bool ends = reader.type == &kQuantize || reader.type == &kMaxPool;
        if (!reader.claimed || (!ends && !next)) return false;
        ++readers;
      }
    }
    return readers > 0;
  }

  // The maximum pooling of floats that a claimed operator reads, or that reads what one made,
  // perhaps after a normalisation.
  bool is_neighbouring_pool(const Candidate& c) {
    if (c.type != &kMaxPool || is_constant(*input(c, 0))) return false;
    for (const Candidate& reader : candidates_) {
      for (int i = 0; reader.claimed && i < reader.node->inputs->size; ++i) {
        if (reader.node->inputs->data[i] == output_index(c)) return true;
      }
    }
    // At most a MUL and an ADD lie between.
    const Candidate* source = producer(c.node->inputs->data[0]);
    for (int step = 0; step < 2 && source && !source->claimed; ++step) {
      if (!is_elementwise(*source) || !has_channel_constant(*source)) break;
      source = producer(source->node->inputs->data[is_constant(*input(*source, 0))]);
    }
    return source && source->claimed;
  }

  // A concatenation of floats along the channels, one of which a binary convolution makes.
  bool is_dense_block(const Candidate& c) {
    if (c.type != &kConcat) return false;
    bool binary = false;
    for (int i = 0; i < c.node->inputs->size; ++i) {
      if (is_constant(*input(c, i))) return false;
      const Candidate* source = producer(c.node->inputs->data[i]);
      binary |= source && source->type == &kBconv;
    }
    return binary;
  }

  // The LceDequantize of a constant that gives a layer its weights, perhaps through a RESHAPE.
  Candidate* unpacking(const Candidate& layer, Candidate** reshape) {
    *reshape = nullptr;
    Candidate* source = producer(layer.node->inputs->data[1]);
    if (source && source->type == &kReshape) {
      *reshape = source;
      source = producer(source->node->inputs->data[0]);
    }
    if (!source || source->type != &kDequantize || source->claim.fault ||
        source->node->inputs->size != 1 || source->node->outputs->size != 1) {
      return nullptr;
    }
    const TfLiteTensor *packed = input(*source, 0), *unpacked = output(*source);
    if (!packed || packed->type != kTfLiteInt32 || !is_constant(*packed) || !packed->dims ||
        !unpacked->dims || packed->dims->size != unpacked->dims->size) {
      return nullptr;
    }
    for (int i = 0; i + 1 < packed->dims->size; ++i) {
      if (packed->dims->data[i] != unpacked->dims->data[i]) return nullptr;
    }
    return source;
  }

  // A layer of floats whose weights are the LceDequantize of a constant.
  bool is_weight_only(const Candidate& c) {
    if (c.type != &kWeightOnlyDense && c.type != &kWeightOnlyConv &&
        c.type != &kWeightOnlyDepthwise) {
      return false;
    }
    Candidate* reshape;
    return !is_constant(*input(c, 0)) && unpacking(c, &reshape) != nullptr;
  }

  // Claims the layer and the per-channel MUL and ADD that follow it. For the partitioner the layer
  // reads the packed constant: else it could put LceDequantize into an earlier partition, whose
  // output, the unpacked weights, would need memory.
  bool claim_weight_only(Candidate& c, TemporaryWiring* wiring) {
    Candidate* reshape;
    const Candidate* source = unpacking(c, &reshape);
    c.claimed = true;
    c.claim.packed_filter = source->node->inputs->data[0];
    c.claim.filter = c.node->inputs->data[1];
    if (reshape) reshape->claimed = true;
    if (!wiring->rewire(c.node->inputs, 1, c.claim.packed_filter)) return false;
    const Candidate* last = &c;
    // Constants after an activation are left to the interpreter: they could not be merged.
    constexpr const OpType* kSteps[] = {&kMul, &kAdd};
    for (const OpType* next : kSteps) {
      int at = 0;
      Candidate* reader = only_reader(output_index(*last), &at);
      if (!reader || reader->type != next ||
          last->type->activation(*last->node) != kTfLiteActNone ||
          !is_channel_constant(context_, *reader->node, 1 - at)) {
        continue;
      }
      reader->claimed = true;
      last = reader;
    }
    return true;
  }

  const TfLiteContext& context_;
  Array<Candidate> candidates_;  // in the plan's order
  Array<Uses> uses_;             // of each tensor, as the file has them
};

}  // namespace

bool select_nodes(TfLiteContext* context, const TfLiteIntArray& plan, bool neighbours,
                  Selection* selection, TemporaryWiring* wiring) {
  NodeSelector selector(context);
  return selector.read(context, plan) && (!neighbours || selector.claim_neighbours(wiring)) &&
         selector.list(selection);
}

}  // namespace onebit
