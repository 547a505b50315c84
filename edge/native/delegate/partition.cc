#include "partition.h"

#include <time.h>

#include <new>

namespace onebit {
namespace {

uint64_t now_ns() {
  timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return static_cast<uint64_t>(t.tv_sec) * 1000000000u + t.tv_nsec;
}

bool listed(const TfLiteIntArray* list, int tensor) {
  for (int i = 0; i < list->size; ++i) {
    if (list->data[i] == tensor) return true;
  }
  return false;
}

// Creates the operator of one node; false after `fail`.
bool add_op(Partition& p, int index) {
  TfLiteNode* node;
  TfLiteRegistration* registration;
  Op op = {};
  op.node = index;
  op.scratch = op.outputs[0] = op.outputs[1] = -1;
  for (int& input : op.inputs) input = -1;
  if (p.context->GetNodeAndRegistration(p.context, index, &node, &registration) != kTfLiteOk) {
    return false;
  }
  op.type = find_op_type(*registration);
  for (int i = 0; i < node->inputs->size && i < Op::kMaxInputs; ++i) {
    op.inputs[i] = p.value_of(node->inputs->data[i]);
  }
  if (node->outputs->size > 0) op.outputs[0] = p.value_of(node->outputs->data[0]);
  const bool parsed = op.type->parse(p, op, *node);
  p.ops.push(op);
  return parsed;
}

void* init(TfLiteContext* context, const char* buffer, size_t) {
  const TfLiteDelegateParams& params = *reinterpret_cast<const TfLiteDelegateParams*>(buffer);
  Partition* p = new (calloc(1, sizeof(Partition))) Partition();
  p->delegate = static_cast<Delegate*>(params.delegate->data);
  p->context = context;
  for (int i = 0; i < params.nodes_to_replace->size; ++i) {
    // The error surfaces in `prepare`, which every runtime reports.
    p->unparsable = !add_op(*p, params.nodes_to_replace->data[i]);
    if (p->unparsable) break;
  }
  for (Value& value : p->values) value.is_output = listed(params.output_tensors, value.tensor);
  if (!p->unparsable) fuse_ops(*p);
  retain(p->delegate);
  return p;
}

void release(TfLiteContext*, void* data) {
  Partition* p = static_cast<Partition*>(data);
  Delegate* delegate = p->delegate;
  pthread_mutex_lock(&delegate->running);
  append_profile(*p, delegate);
  pthread_mutex_unlock(&delegate->running);
  for (Op& op : p->ops) op.type->release(op);
  p->~Partition();
  free(p);
  let_go(delegate);
}

// Forgets what an earlier `prepare` found out: scratch, and the shapes of tensors that the
// interpreter may have resized.
void reset_values(Partition& p) {
  int tensors = 0;
  while (tensors < p.values.size() && p.values[tensors].tensor >= 0) ++tensors;
  p.values.resize(tensors);
  for (Value& value : p.values) {
    const TfLiteTensor& t = p.context->tensors[value.tensor];
    value.type = t.type;
    const int rank = t.dims ? t.dims->size : 0;
    value.rank = rank > Value::kMaxRank ? 0 : rank;
    for (int i = 0; i < value.rank; ++i) value.dims[i] = t.dims->data[i];
    value.border = true;
    value.first_use = INT32_MAX;
    value.last_use = -1;
    value.bytes = 0;
    value.home = -1;
    value.home_channel = 0;
  }
}

void use(Partition& p, int value, int at) {
  if (value < 0) return;
  Value& v = p.values[value];
  if (at < v.first_use) v.first_use = at;
  if (at > v.last_use) v.last_use = at;
}

// Finds which values live in the arena, and when.
void find_lifetimes(Partition& p) {
  for (int i = 0; i < p.ops.size(); ++i) {
    Op& op = p.ops[i];
    for (int output : op.outputs) {
      if (output >= 0) p.values[output].border = p.values[output].is_output;
    }
    if (op.scratch >= 0) {
      p.values[op.scratch].border = false;
      p.values[op.scratch].first_use = p.values[op.scratch].last_use = i;
    }
    for (int input : op.inputs) use(p, input, i);
    for (int output : op.outputs) use(p, output, i);
  }
}

int home_of(const Partition& p, int value) {
  while (p.values[value].home >= 0) value = p.values[value].home;
  return value;
}

// Whether a value may lie in parts of another's rows: all operators that touch it can cope.
bool may_lie_apart(const Partition& p, int value) {
  if (p.values[value].border || p.values[value].home >= 0) return false;
  bool written = false;
  for (const Op& op : p.ops) {
    for (int input : op.inputs) {
      if (input == value && !reads_rows(op, value)) return false;
    }
    for (int output : op.outputs) {
      if (output != value) continue;
      if (!writes_rows(op, value)) return false;
      written = true;
    }
  }
  return written;
}

// The inputs of a concatenation are computed in their place of its result, where that is possible:
// a dense block's features then lie in the memory of the block's result from its start.
void share_concatenations(Partition& p) {
  for (Op& op : p.ops) {
    if (op.type != &kConcat) continue;
    int channel = 0;
    for (int input : op.inputs) {
      if (input < 0) continue;
      Value& value = p.values[input];
      if (input != op.outputs[0] && may_lie_apart(p, input)) {
        value.home = op.outputs[0];
        value.home_channel = channel;
      }
      channel += value.dims[value.rank - 1];
    }
  }
  for (Value& value : p.values) {
    for (int at = value.home; at >= 0; at = p.values[at].home) {
      Value& home = p.values[at];
      if (value.first_use < home.first_use) home.first_use = value.first_use;
      if (value.last_use > home.last_use) home.last_use = value.last_use;
    }
  }
}

// A merged ADD may write over its residual if nobody reads that later: each element is read just
// before it is written. It keeps a chain of residual blocks in half the cache. The chain that ends
// in an output of the partition is computed in that output's memory from its start.
void share_residuals(Partition& p) {
  for (int i = 0; i < p.ops.size(); ++i) {
    const int out = p.ops[i].outputs[0], residual = residual_of(p.ops[i]);
    if (out < 0 || residual < 0 || p.values[residual].border || p.values[out].home >= 0) continue;
    const int home = home_of(p, residual);
    if (p.values[residual].last_use != i || p.values[residual].bytes != p.values[out].bytes ||
        p.values[home].border) {
      continue;
    }
    if (p.values[out].border) {
      p.values[home].home = out;
      continue;
    }
    p.values[out].home = home;
    if (p.values[home].last_use < p.values[out].last_use) {
      p.values[home].last_use = p.values[out].last_use;
    }
  }
}

void find_strides(Partition& p) {
  for (int i = 0; i < p.values.size(); ++i) {
    const Value& home = p.values[home_of(p, i)];
    p.values[i].row_stride = home.rank > 0 ? home.dims[home.rank - 1] : 1;
  }
}

bool overlap(const Value& a, const Value& b) {
  return a.first_use <= b.last_use && b.first_use <= a.last_use;
}

// Places arena values first fit, largest first; values that are never alive together share memory.
size_t plan_arena(Partition& p) {
  constexpr size_t kAlignment = 64;
  Array<int> order;
  for (int i = 0; i < p.values.size(); ++i) {
    const Value& value = p.values[i];
    if (!value.border && value.last_use >= 0 && value.home < 0) order.push(i);
  }
  for (int i = 1; i < order.size(); ++i) {
    for (int j = i; j > 0 && p.values[order[j]].bytes > p.values[order[j - 1]].bytes; --j) {
      const int swap = order[j];
      order[j] = order[j - 1];
      order[j - 1] = swap;
    }
  }
  size_t total = 0;
  for (int i = 0; i < order.size(); ++i) {
    Value& value = p.values[order[i]];
    value.bytes = (value.bytes + kAlignment - 1) / kAlignment * kAlignment;
    value.offset = 0;
    for (int j = 0; j < i; ++j) {
      const Value& placed = p.values[order[j]];
      const bool apart = value.offset + value.bytes <= placed.offset ||
                         placed.offset + placed.bytes <= value.offset;
      if (!overlap(value, placed) || apart) continue;
      value.offset = placed.offset + placed.bytes;
      j = -1;  // a later place may collide with one that was passed already
    }
    if (value.offset + value.bytes > total) total = value.offset + value.bytes;
  }
  return total;
}

bool has_shape(const TfLiteTensor& tensor, const Value& value) {
  if (tensor.dims == nullptr || tensor.dims->size != value.rank) return false;
  for (int i = 0; i < value.rank; ++i) {
    if (tensor.dims->data[i] != value.dims[i]) return false;
  }
  return true;
}

// Tells the interpreter the shapes of the partition's outputs.
TfLiteStatus resize_outputs(Partition& p) {
  for (const Value& value : p.values) {
    if (!value.is_output) continue;
    TfLiteTensor* tensor = &p.context->tensors[value.tensor];
    if (has_shape(*tensor, value)) continue;
    TfLiteIntArray* dims =
        static_cast<TfLiteIntArray*>(malloc(sizeof(int) * (value.rank + 1)));  // freed by TFLite
    dims->size = value.rank;
    for (int i = 0; i < value.rank; ++i) dims->data[i] = value.dims[i];
    if (p.context->ResizeTensor(p.context, tensor, dims) != kTfLiteOk) return kTfLiteError;
  }
  return kTfLiteOk;
}

TfLiteStatus report(Partition& p) {
  p.context->ReportError(p.context, "%s", p.error);
  return kTfLiteError;
}

TfLiteStatus prepare(TfLiteContext* context, TfLiteNode* node) {
  Partition& p = *static_cast<Partition*>(node->user_data);
  Delegate& delegate = *p.delegate;
  p.context = context;
  pthread_mutex_lock(&delegate.running);
  const int wanted = delegate.options.num_threads > 0 ? delegate.options.num_threads
                                                      : context->recommended_num_threads;
  delegate.pool.resize(wanted > 0 ? wanted : 1);
  pthread_mutex_unlock(&delegate.running);
  if (p.unparsable) return report(p);
  p.error[0] = 0;
  reset_values(p);
  for (Op& op : p.ops) {
    if (!op.type->prepare(p, op)) return report(p);
  }
  for (Value& value : p.values) {
    if (value.tensor >= 0) {
      const int64_t count = elements(value);
      value.bytes = count > 0 ? static_cast<size_t>(count) * size_of(value.type) : 0;
    }
  }
  find_lifetimes(p);
  share_concatenations(p);
  share_residuals(p);
  find_strides(p);
  if (!p.arena.reserve(plan_arena(p))) {
    p.fail(p.ops[0], "out of memory for intermediate results");
    return report(p);
  }
  return resize_outputs(p);
}

// Points values at their memory. False when the interpreter changed a shape since `prepare`.
bool bind(Partition& p) {
  for (Value& value : p.values) {
    if (!value.border || value.last_use < 0) continue;
    const TfLiteTensor& tensor = p.context->tensors[value.tensor];
    value.data = tensor.data;
    if (value.data == nullptr || !has_shape(tensor, value) || tensor.bytes < value.bytes) {
      return false;
    }
  }
  for (Value& value : p.values) {
    if (value.border) continue;
    const Value* home = &value;
    size_t channel = 0;
    for (; home->home >= 0; home = &p.values[home->home]) channel += home->home_channel;
    char* start = home->border ? static_cast<char*>(home->data) : p.arena.as<char>() + home->offset;
    value.data = start + channel * sizeof(float);
  }
  return true;
}

TfLiteStatus invoke(TfLiteContext* context, TfLiteNode* node) {
  Partition& p = *static_cast<Partition*>(node->user_data);
  p.context = context;
  const bool profile = p.delegate->options.profile[0] != 0;
  pthread_mutex_lock(&p.delegate->running);
  const bool bound = bind(p);
  for (int i = 0; bound && i < p.ops.size(); ++i) {
    Op& op = p.ops[i];
    const uint64_t start = profile ? now_ns() : 0;
    op.type->run(p, op);
    if (profile) {
      op.time_ns += now_ns() - start;
      ++op.calls;
    }
  }
  pthread_mutex_unlock(&p.delegate->running);
  if (bound) return kTfLiteOk;
  p.context->ReportError(
      context, "onebit: a tensor changed its shape, or lost its memory, after it was prepared");
  return kTfLiteError;
}

const char* profiling_string(const TfLiteContext*, const TfLiteNode*) { return "Onebit"; }

}  // namespace

TfLiteRegistration partition_registration() {
  TfLiteRegistration registration = {};
  registration.init = init;
  registration.free = release;
  registration.prepare = prepare;
  registration.invoke = invoke;
  registration.profiling_string = profiling_string;
  registration.custom_name = "OnebitDelegate";
  registration.version = 1;
  return registration;
}

}  // namespace onebit
