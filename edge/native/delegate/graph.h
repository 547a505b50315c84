// A partition of a graph: its values and operators.
#pragma once

#include <stdint.h>

#include <memory>

#include "delegate.h"

namespace onebit {

struct Claim;
struct Op;
struct Partition;

struct TensorInfo {
  static constexpr int kMaxRank = 8;
  TfLiteType type = kTfLiteNoType;
  int rank = 0;  // -1: more than kMaxRank, which no operator takes
  int dims[kMaxRank] = {};
};

// Where a value lies.
struct Placement {
  size_t bytes = 0;
  int first_use = INT32_MAX, last_use = -1;  // positions in the partition's order
  size_t offset = 0;                         // in the arena
  int alias_of = -1;                         // the value in whose memory this one lies
  int alias_channel = 0;                     // the channel of that value with which it begins
  int row_stride = 0;  // channels from one row to the next, more than its own within an alias
};

// A tensor inside a partition. External ones live in the interpreter's memory, the others in the
// partition's arena.
struct Value : TensorInfo, Placement {
  int tensor = -1;  // -1: scratch of one operator
  bool is_output = false;
  bool external = false;
  void* data = nullptr;  // valid while the partition runs
};

// The behaviour of a kind of operator: a file op_*.cc each, and a row in op_types.cc.
struct OpType {
  const char* name;
  int builtin = -1;  // TFLite's code; -1: LCE's operator of this name
  // Of built-in operators: whether this library gives TFLite's results for the node, whatever sizes
  // its tensors get.
  bool (*supports)(const TfLiteContext&, const TfLiteNode&) = nullptr;
  // The node's fused activation; nullptr: it has none.
  int (*activation)(const TfLiteNode&) = nullptr;
  // Reads the node's options; the values of inputs and outputs exist already. Like `infer` and
  // `prepare` it returns false after `fail`.
  bool (*parse)(Partition&, Op&, const TfLiteNode&, const Claim&);
  // Checks types and shapes, sets the shapes of the outputs, and removes from the operator's
  // `merges` those that its types and shapes rule out.
  bool (*infer)(Partition&, Op&);
  // Chooses the kernel, packs constants, requests scratch; after merging.
  bool (*prepare)(Partition&, Op&);
  void (*run)(Partition&, Op&);
  // Of packed weights and constants; nullptr: it holds none.
  size_t (*constant_bytes)(const Op&) = nullptr;
  // Whether it can read floats, or write its floats, in rows that lie apart.
  bool reads_rows = false, writes_rows = false;
  bool gathers_inputs = false;  // a concatenation: its inputs may be computed in place
  unsigned merges = 0;          // of `Merges`
};

// Operators that can become part of another (see fuse.cc).
enum Merges : unsigned {
  kTakesResidual = 1,    // the ADD of another value, as its input kResidual
  kTakesScale = 2,       // a MUL by channel constants that follows it
  kTakesOffset = 4,      // an ADD of channel constants that follows it
  kNormalisesInput = 8,  // a MUL and an ADD of channel constants ahead of it
  kEmitsBits = 16,       // the LceQuantize of its floats, as its second output
  kKeepsFloats = 32,     // not that: it writes its floats even if only their signs are read
};

struct Op {
  static constexpr int kMaxInputs = 6, kMaxMerged = 4, kResidual = 5;
  using State = std::unique_ptr<void, void (*)(void*)>;

  const OpType* type = nullptr;
  int node = -1;  // index in the interpreter's graph
  // Values that the node reads and writes, or -1.
  int node_inputs[kMaxInputs] = {-1, -1, -1, -1, -1, -1};
  int node_output = -1;
  int activation = kTfLiteActNone;  // the node's own, where it has one
  State state = {nullptr, [](void*) {}};

  // Since `infer`.
  unsigned merges = 0;  // of `Merges`, given its types and shapes
  int channel_constant =
      -1;  // the input of an ADD or MUL with one value, or one per channel; or -1

  // Since merging; `infer` sees the node's own inputs and output here.
  int inputs[kMaxInputs] = {};
  int outputs[2] = {};                      // the second: the signs of the first
  int scale = -1, offset = -1;              // values of merged channel constants
  int merged_activation = kTfLiteActNone;   // of the last merged ADD or MUL
  const char* merged[kMaxMerged + 1] = {};  // operators that became part of this one; nullptr ends

  int scratch = -1;
  const char* kernel = "";  // the variant that runs, for the profile
  int64_t macs = 0;
  uint64_t calls = 0, time_ns = 0;

  template <class S>
  S& state_as() const {
    return *static_cast<S*>(state.get());
  }
};

struct Partition {
  Delegate* delegate;
  TfLiteContext* context;
  Array<Value> values;
  Array<Op> ops;
  Array<int> order;  // of those that run, since merging
  Buffer arena;
  bool unusable = false;  // for good; `error` has the reason
  char error[320] = "";

  // Stores the value of a tensor index, or -1 for an optional tensor that is absent. False when
  // memory is refused.
  bool value_of(int tensor, int* value);
  const TfLiteTensor& tensor_of(int value) { return context->tensors[values[value].tensor]; }
  // The data of a constant with this type and number of elements, or nullptr.
  const void* constant(int value, TfLiteType type, int64_t count);
  // The number of elements of a constant, whatever its rank, or -1.
  int64_t constant_size(int value);
  void set_shape(int value, int rank, const int* dims, TfLiteType type);
  // Requests memory for the time that `op` runs. False after `fail`.
  bool add_scratch(Op& op, uint64_t bytes);
  // Records why `op` cannot run; returns false. The first reason is kept.
  bool fail(const Op& op, const char* format, ...) __attribute__((format(printf, 3, 4)));
  bool out_of_memory(const Op& op) { return fail(op, "out of memory"); }

  template <class T>
  T* data(int value) {
    return value < 0 ? nullptr : static_cast<T*>(values[value].data);
  }
};

// Creates an operator's state, in `parse`. False after `fail`.
template <class S>
bool make_state(Partition& p, Op& op) {
  void* memory = allocate(sizeof(S));
  if (memory == nullptr) return p.out_of_memory(op);
  op.state = Op::State(new (memory) S(), [](void* state) {
    static_cast<S*>(state)->~S();
    free(state);
  });
  return true;
}

size_t size_of(TfLiteType type);  // bytes of an element, 0 for types that are not handled
const char* type_name(TfLiteType type);

// The number of elements; -1 if the rank is not handled, a dimension is negative, or there are more
// than an `int` can index or, on 32-bit machines, memory can hold.
int64_t elements(const TensorInfo& info);
// The product of all dimensions but the last, and the last: 1 each for a scalar.
int64_t rows(const TensorInfo& info);
int channels(const TensorInfo& info);
bool same_dims(const TensorInfo& a, const TensorInfo& b);
bool same_dims(const TfLiteIntArray* a, const TensorInfo& b);
void read_info(const TfLiteTensor& tensor, TensorInfo* info);

bool is_constant(const TfLiteTensor& tensor);
// A tensor of a node, or nullptr if it is absent.
const TfLiteTensor* tensor_at(const TfLiteContext& context, const TfLiteIntArray* list, int i);
bool is_float(const TfLiteTensor* tensor);
bool known_activation(int activation);

// The kind that handles a node, or nullptr. LCE's operators are recognised by name, whatever their
// options; `parse` judges those.
const OpType* find_op_type(const TfLiteRegistration& registration);

// Chooses the operators that run and their order (see fuse.cc). False when memory is refused.
bool fuse_ops(Partition& partition);

// Places the values (see plan.cc). Returns the size of the arena, or -1 if it is too large or
// memory is refused.
int64_t plan_memory(Partition& partition);

}  // namespace onebit
