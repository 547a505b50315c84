#include "partition.h"

#include <stdio.h>
#include <time.h>

#include <algorithm>

#include "select.h"

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

// Fills an operator from its node; false after `fail`.
bool read_node(Partition& p, Op& op, const TfLiteNode& node, const Claim& claim) {
  if (claim.fault) return p.fail(op, "%s", claim.fault);
  if (op.type->activation) op.activation = op.type->activation(node);
  for (int i = 0; i < std::min<int>(node.inputs->size, Op::kMaxInputs); ++i) {
    if (!p.value_of(node.inputs->data[i], &op.node_inputs[i])) return p.out_of_memory(op);
  }
  if (node.outputs->size > 0 && !p.value_of(node.outputs->data[0], &op.node_output)) {
    return p.out_of_memory(op);
  }
  return op.type->parse(p, op, node, claim);
}

// Creates the operators of the nodes that the partition replaces; false after `fail`.
bool read_nodes(Partition& p, const TfLiteIntArray& nodes) {
  for (int i = 0; i < nodes.size; ++i) {
    const Selection* selection = p.delegate->selection;
    const Claim* claim = selection ? selection->of(nodes.data[i]) : nullptr;
    TfLiteNode* node;
    TfLiteRegistration* registration;
    Op op;
    op.node = nodes.data[i];
    if (claim &&
        p.context->GetNodeAndRegistration(p.context, op.node, &node, &registration) == kTfLiteOk) {
      op.type = find_op_type(*registration);
    }
    if (op.type == nullptr) {
      snprintf(p.error, sizeof p.error, "onebit: node %d was not claimed", op.node);
      return false;
    }
    if (!read_node(p, op, *node, *claim)) return false;
    if (!p.ops.push(std::move(op))) {
      snprintf(p.error, sizeof p.error, "onebit: out of memory");
      return false;
    }
  }
  return true;
}

void* init(TfLiteContext* context, const char* buffer, size_t) {
  const TfLiteDelegateParams& params = *reinterpret_cast<const TfLiteDelegateParams*>(buffer);
  void* memory = allocate(sizeof(Partition));
  if (memory == nullptr) return nullptr;  // `prepare` says so
  Partition* p = new (memory) Partition();
  p->delegate = static_cast<Delegate*>(params.delegate->data);
  p->context = context;
  // An error surfaces in `prepare`, which every runtime reports.
  p->unusable = !read_nodes(*p, *params.nodes_to_replace);
  for (Value& value : p->values) value.is_output = listed(params.output_tensors, value.tensor);
  ref(p->delegate);
  return p;
}

void release(TfLiteContext*, void* data) {
  if (data == nullptr) return;
  Partition* p = static_cast<Partition*>(data);
  Delegate* delegate = p->delegate;
  {
    Lock lock(delegate->running);
    append_profile(*p, delegate);
  }
  p->~Partition();
  free(p);
  unref(delegate);
}

// Undoes an earlier `prepare`: scratch, merging, and shapes of tensors that the interpreter may
// have resized.
void reset(Partition& p) {
  int tensors = 0;
  while (tensors < p.values.size() && p.values[tensors].tensor >= 0) ++tensors;
  p.values.truncate(tensors);
  for (Value& value : p.values) {
    static_cast<Placement&>(value) = {};
    read_info(p.context->tensors[value.tensor], &value);
  }
  for (Op& op : p.ops) {
    std::copy_n(op.node_inputs, Op::kMaxInputs, op.inputs);
    op.outputs[0] = op.node_output;
    op.outputs[1] = op.scale = op.offset = op.scratch = -1;
    op.merges = op.type->merges;
    op.merged_activation = kTfLiteActNone;
    op.merged[0] = nullptr;
  }
}

// Sets the shapes of the partition's outputs in the interpreter.
TfLiteStatus resize_outputs(Partition& p) {
  for (const Value& value : p.values) {
    if (!value.is_output) continue;
    TfLiteTensor* tensor = &p.context->tensors[value.tensor];
    if (same_dims(tensor->dims, value)) continue;
    TfLiteIntArray* dims = static_cast<TfLiteIntArray*>(  // the interpreter frees it
        allocate(sizeof(TfLiteIntArray) + sizeof(int) * value.rank));
    if (dims == nullptr) {
      p.context->ReportError(p.context, "onebit: out of memory");
      return kTfLiteError;
    }
    dims->size = value.rank;
    std::copy_n(value.dims, value.rank, dims->data);
    if (p.context->ResizeTensor(p.context, tensor, dims) != kTfLiteOk) return kTfLiteError;
  }
  return kTfLiteOk;
}

bool plan(Partition& p) {
  reset(p);
  for (Op& op : p.ops) {
    if (!op.type->infer(p, op)) return false;
  }
  if (!fuse_ops(p)) return p.out_of_memory(p.ops[0]);
  for (const int index : p.order) {
    Op& op = p.ops[index];
    if (!op.type->prepare(p, op)) return false;
  }
  const int64_t arena = plan_memory(p);
  if (arena < 0 || !p.arena.reserve(static_cast<uint64_t>(arena), 1)) {
    return p.fail(p.ops[0], "there is not enough memory for intermediate results");
  }
  return true;
}

TfLiteStatus prepare(TfLiteContext* context, TfLiteNode* node) {
  if (node->user_data == nullptr) {
    context->ReportError(context, "onebit: out of memory");
    return kTfLiteError;
  }
  Partition& p = *static_cast<Partition*>(node->user_data);
  Delegate& delegate = *p.delegate;
  p.context = context;
  {
    Lock lock(delegate.running);
    const int wanted = delegate.options.num_threads > 0 ? delegate.options.num_threads
                                                        : context->recommended_num_threads;
    delegate.pool.resize(std::max(wanted, 1));
  }
  if (!p.unusable) {
    p.error[0] = 0;
    if (plan(p)) return resize_outputs(p);
  }
  context->ReportError(context, "%s", p.error);
  return kTfLiteError;
}

// Points values at their memory. False when the interpreter changed a shape since `prepare`.
bool bind(Partition& p) {
  for (Value& value : p.values) {
    if (!value.external || value.last_use < 0) continue;
    const TfLiteTensor& tensor = p.context->tensors[value.tensor];
    value.data = tensor.data;
    // Constants of a rank that no value has are read by `prepare` only.
    if (value.rank < 0) continue;
    if ((value.data == nullptr && value.bytes > 0) || !same_dims(tensor.dims, value) ||
        tensor.bytes < value.bytes) {
      return false;
    }
  }
  for (Value& value : p.values) {
    if (value.external) continue;
    const Value* root = &value;
    size_t channel = 0;
    for (; root->alias_of >= 0; root = &p.values[root->alias_of]) channel += root->alias_channel;
    char* start =
        root->external ? static_cast<char*>(root->data) : p.arena.as<char>() + root->offset;
    value.data = start + channel * sizeof(float);
  }
  return true;
}

// Whether an operator has anything to compute: a batch may have no images.
bool has_work(const Partition& p, const Op& op) {
  for (const int output : op.outputs) {
    if (output >= 0 && p.values[output].bytes > 0) return true;
  }
  return false;
}

void run(Partition& p) {
  const bool profile = p.delegate->options.profile[0] != 0;
  for (const int index : p.order) {
    Op& op = p.ops[index];
    const uint64_t start = profile ? now_ns() : 0;
    if (has_work(p, op)) op.type->run(p, op);
    if (profile) {
      op.time_ns += now_ns() - start;
      ++op.calls;
    }
  }
}

TfLiteStatus invoke(TfLiteContext* context, TfLiteNode* node) {
  Partition& p = *static_cast<Partition*>(node->user_data);
  p.context = context;
  Lock lock(p.delegate->running);
  p.delegate->pool.enter_process();
  if (!bind(p)) {
    context->ReportError(
        context, "onebit: a tensor changed its shape, or lost its memory, after it was prepared");
    return kTfLiteError;
  }
  run(p);
  return kTfLiteOk;
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
