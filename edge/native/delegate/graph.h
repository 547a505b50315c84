// What the delegate knows of a graph: options, partitions, their operators and values.
#pragma once

#include <stdint.h>
#include <stdlib.h>

#include <new>

#include "../kernels/variants.h"
#include "array.h"
#include "pool.h"
#include "tflite_abi.h"

namespace onebit {

struct Partition;
struct Op;

struct Options {
  int num_threads = 0;  // 0: as the interpreter recommends
  bool forced = false;  // use `isa` only, and the scalar reference where it has no kernel
  b1::Isa isa = b1::Isa::kScalar;
  char kernel[64] = "";    // use this variant where its precondition holds
  char profile[512] = "";  // write a profile to this file when the delegate is destroyed
  bool fuse = true;        // merge operators; off only to test and to measure
};

// A tensor inside a partition. Those that cross its border live in the interpreter's memory, the
// others in the partition's arena.
struct Value {
  static constexpr int kMaxRank = 8;
  int tensor;  // -1: scratch of one operator
  TfLiteType type;
  int rank;
  int dims[kMaxRank];
  bool border;
  bool is_output;
  size_t bytes;
  int first_use, last_use;  // positions in the list of operators
  size_t offset;            // in the arena
  int home;                 // the value in whose memory this one lies, or -1
  int home_channel;         // the channel of `home` with which this one begins
  int row_stride;           // channels from one row to the next, more than its own within a `home`
  void* data;               // valid while the partition runs
};

// The behaviour of a kind of operator.
struct OpType {
  const char* name;
  // Reads the node's options and constants; the values of inputs and outputs exist already. Returns
  // false after `fail`.
  bool (*parse)(Partition&, Op&, const TfLiteNode&);
  // Checks types and shapes, sets the outputs' shapes, chooses the kernel, asks for scratch.
  bool (*prepare)(Partition&, Op&);
  void (*run)(Partition&, Op&);
  void (*release)(Op&);
};

struct Op {
  static constexpr int kMaxInputs = 6, kMaxMerged = 3;
  const OpType* type;
  int node;  // index in the interpreter's graph
  int inputs[kMaxInputs];
  int outputs[2];
  int scratch;
  void* state;
  const char* merged[kMaxMerged + 1];  // the operators that became part of this one; nullptr ends
  const char* kernel;                  // the variant that runs, for the profile
  int64_t macs;
  uint64_t calls, time_ns;
};

// A weight-only layer whose filter was packed flat, as [O, K], and reshaped behind LceDequantize:
// its node, and the tensor that has the filter's shape.
struct FlatFilter {
  int node, tensor;
};

struct Delegate {
  TfLiteDelegate interface;
  Options options;
  Pool pool;
  pthread_mutex_t running = PTHREAD_MUTEX_INITIALIZER;  // interpreters may share the delegate
  // Python's garbage collector may free a delegate before the interpreter that uses it: whoever
  // created it and each partition hold a reference, and the last one to let go frees it.
  int references = 1;
  Array<char> profile;             // JSON of partitions that were freed
  Array<char> foreign;             // JSON of nodes that were left to the interpreter
  Array<FlatFilter> flat_filters;  // of the interpreter that is being prepared
  // What partitions that were freed held: values between operators, and packed constants.
  size_t arena_bytes = 0, constant_bytes = 0;
};

struct Partition {
  Delegate* delegate;
  TfLiteContext* context;
  Array<Value> values;
  Array<Op> ops;
  Buffer arena;
  bool unparsable;  // `error` tells why, for good
  char error[320];

  // The value of a tensor index, or -1 for an optional tensor that is absent.
  int value_of(int tensor);
  const TfLiteTensor& tensor_of(int value) { return context->tensors[values[value].tensor]; }
  // The data of a constant with this type and number of elements, or nullptr.
  const void* constant(int value, TfLiteType type, int64_t count);
  void set_shape(int value, int rank, const int* dims, TfLiteType type);
  int add_scratch(size_t bytes);
  // Records why `op` cannot run; returns false.
  bool fail(const Op& op, const char* format, ...) __attribute__((format(printf, 3, 4)));
};

// What `parse` keeps for an operator, zeroed first, and `release` destroys.
template <class State>
State* make_state(Op& op) {
  State* state = new (calloc(1, sizeof(State))) State();
  op.state = state;
  return state;
}

template <class State>
void release_state(Op& op) {
  if (op.state == nullptr) return;
  static_cast<State*>(op.state)->~State();
  free(op.state);
}

size_t size_of(TfLiteType type);  // bytes of an element, 0 for types that are not handled
// The number of elements, or -1 if a dimension is not positive or the product passes 2^30.
int64_t elements(const Value& value);
const char* type_name(TfLiteType type);

// The kind that handles a node, or nullptr. LCE's operators are recognised by name, whatever their
// options; `parse` judges those.
const OpType* find_op_type(const TfLiteRegistration& registration);

// Which nodes of the plan the delegate takes.
void choose_nodes(TfLiteContext* context, const TfLiteIntArray& plan, Delegate* delegate,
                  Array<int>* nodes);

// The value that an operator may overwrite with its first output, or -1.
int residual_of(const Op& op);

// Merges operators of a partition (see fuse.cc).
void fuse_ops(Partition& partition);

// Whether an operator can read a value, or write one, whose rows lie apart.
bool reads_rows(const Op& op, int value);
bool writes_rows(const Op& op, int value);

extern const OpType kQuantize, kDequantize, kBconv, kBMaxPool, kAdd, kMul, kReshape, kConcat;
extern const OpType kMaxPool;
extern const OpType kWeightOnlyDense, kWeightOnlyConv, kWeightOnlyDepthwise;

// Adds the partition's operators and their times, as JSON objects that are each followed by a
// comma, and its memory to the delegate's profile.
void append_profile(const Partition& partition, Delegate* delegate);
void append_foreign_node(const char* name, int node, Array<char>* json);
bool write_profile(const Delegate& delegate);

void retain(Delegate* delegate);
void let_go(Delegate* delegate);

}  // namespace onebit
