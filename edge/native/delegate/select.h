// Which nodes the delegate claims.
#pragma once

#include "memory.h"
#include "tflite_abi.h"

namespace onebit {

// A node that the delegate claims.
struct Claim {
  int node = -1;                // index in the interpreter's graph
  const char* fault = nullptr;  // why an LCE operator cannot run; no other kernel could run it
  // Of a weight-only layer: the tensors of its filter, packed and unpacked.
  int packed_filter = -1, filter = -1;
};

struct Selection {
  Array<Claim> claims;

  const Claim* of(int node) const {
    for (const Claim& claim : claims) {
      if (claim.node == node) return &claim;
    }
    return nullptr;
  }
};

// Changes inputs of the interpreter's nodes for as long as it lives. This is the only place that
// writes into the interpreter's graph.
//
// The interpreter's partitioner knows only which node reads which tensor. It puts an operator into
// the earliest partition in which its inputs are ready, which separates a convolution from its
// residual sum, and a filter's LceDequantize from the layer that reads it. The partitioner looks at
// the inputs while it creates the partitions, and they read their nodes at that time too. Then the
// inputs are restored, since an interpreter may undo all delegates and apply them again.
class TemporaryWiring {
 public:
  TemporaryWiring() = default;
  TemporaryWiring(const TemporaryWiring&) = delete;
  TemporaryWiring& operator=(const TemporaryWiring&) = delete;
  ~TemporaryWiring() {
    for (const Change& change : changes_) change.inputs->data[change.at] = change.tensor;
  }

  // False, and nothing is changed, when memory is refused.
  [[nodiscard]] bool rewire(TfLiteIntArray* inputs, int at, int tensor) {
    if (!changes_.push({inputs, at, inputs->data[at]})) return false;
    inputs->data[at] = tensor;
    return true;
  }

 private:
  struct Change {
    TfLiteIntArray* inputs;  // stays in place when the interpreter adds nodes
    int at, tensor;
  };
  Array<Change> changes_;
};

// Selects nodes of the plan: LCE's operators, and, if `neighbours`, those built-in ones around them
// that are computed better here. False when memory is refused.
bool select_nodes(TfLiteContext* context, const TfLiteIntArray& plan, bool neighbours,
                  Selection* selection, TemporaryWiring* wiring);

}  // namespace onebit
