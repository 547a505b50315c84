// The two functions that the library exports: what `load_delegate` and `--external_delegate_path`
// look for.
#include <stdio.h>

#include <new>

#include "partition.h"

namespace onebit {
namespace {

typedef void (*ErrorReporter)(const char*);

bool reject(ErrorReporter report, const char* key, const char* value, const char* expected) {
  char message[320];
  snprintf(message, sizeof message, "onebit: option %.60s=%.120s: %s", key, value, expected);
  if (report) report(message);
  return false;
}

bool copy_text(const char* value, char* to, size_t size) {
  if (strlen(value) >= size) return false;
  strcpy(to, value);
  return true;
}

bool known_kernel(const char* name) {
  int count;
  const b1::BconvKernel* const* kernels = b1::bconv_kernels(&count);
  for (int i = 0; i < count; ++i) {
    if (strcmp(kernels[i]->name, name) == 0) return b1::cpu_has(kernels[i]->isa);
  }
  return false;
}

bool read_option_pair(const char* key, const char* value, Options* o, ErrorReporter report) {
  if (strcmp(key, "num_threads") == 0) {
    char* end;
    const long threads = strtol(value, &end, 10);
    if (*end || end == value || threads < 1 || threads > 64) {
      return reject(report, key, value, "expected a number from 1 to 64");
    }
    o->num_threads = static_cast<int>(threads);
  } else if (strcmp(key, "isa") == 0) {
    if (!b1::isa_from_name(value, &o->isa)) {
      return reject(report, key, value, "expected scalar, avx2, avx512vpopcntdq, amx or neon");
    }
    if (!b1::cpu_has(o->isa)) return reject(report, key, value, "this CPU does not have it");
    o->forced = true;
  } else if (strcmp(key, "kernel") == 0) {
    if (!known_kernel(value) || !copy_text(value, o->kernel, sizeof o->kernel)) {
      return reject(report, key, value, "no such kernel here");
    }
  } else if (strcmp(key, "profile") == 0) {
    if (!copy_text(value, o->profile, sizeof o->profile)) {
      return reject(report, key, value, "the path is too long");
    }
  } else if (strcmp(key, "fuse") == 0) {
    if (strcmp(value, "0") != 0 && strcmp(value, "1") != 0) {
      return reject(report, key, value, "expected 0 or 1");
    }
    o->fuse = value[0] == '1';
  } else {
    return reject(report, key, value, "unknown; known are num_threads, isa, kernel, profile, fuse");
  }
  return true;
}

const char* builtin_name(int code) {
  switch (code) {
    case 0:
      return "ADD";
    case 1:
      return "AVERAGE_POOL_2D";
    case 2:
      return "CONCATENATION";
    case 3:
      return "CONV_2D";
    case 4:
      return "DEPTHWISE_CONV_2D";
    case 6:
      return "DEQUANTIZE";
    case 9:
      return "FULLY_CONNECTED";
    case 14:
      return "LOGISTIC";
    case 17:
      return "MAX_POOL_2D";
    case 18:
      return "MUL";
    case 19:
      return "RELU";
    case 22:
      return "RESHAPE";
    case 25:
      return "SOFTMAX";
    case 34:
      return "PAD";
    case 40:
      return "MEAN";
    case 54:
      return "PRELU";
    case 114:
      return "QUANTIZE";
    default:
      return "builtin";
  }
}

void list_foreign_nodes(TfLiteContext* context, const TfLiteIntArray& plan, const Array<int>& taken,
                        Array<char>* json) {
  for (int i = 0; i < plan.size; ++i) {
    TfLiteNode* node;
    TfLiteRegistration* r;
    if (taken.contains(plan.data[i]) ||
        context->GetNodeAndRegistration(context, plan.data[i], &node, &r) != kTfLiteOk) {
      continue;
    }
    append_foreign_node(r->custom_name ? r->custom_name : builtin_name(r->builtin_code),
                        plan.data[i], json);
  }
}

TfLiteStatus prepare_delegate(TfLiteContext* context, TfLiteDelegate* interface) {
  Delegate& delegate = *static_cast<Delegate*>(interface->data);
  TfLiteIntArray* current;
  if (context->GetExecutionPlan(context, &current) != kTfLiteOk) return kTfLiteError;
  // The interpreter's array may change while nodes are asked for: work on a copy. TfLiteIntArray is
  // a size followed by the elements.
  Array<int> copy;
  copy.push(current->size);
  for (int i = 0; i < current->size; ++i) copy.push(current->data[i]);
  const TfLiteIntArray& plan = *reinterpret_cast<TfLiteIntArray*>(copy.data());
  Array<int> nodes;
  choose_nodes(context, plan, &delegate, &nodes);
  if (delegate.options.profile[0]) list_foreign_nodes(context, plan, nodes, &delegate.foreign);
  if (nodes.size() == 0) return kTfLiteOk;
  Array<int> list;
  list.push(nodes.size());
  for (int node : nodes) list.push(node);
  return context->ReplaceNodeSubsetsWithDelegateKernels(
      context, partition_registration(), reinterpret_cast<TfLiteIntArray*>(list.data()), interface);
}

}  // namespace

void retain(Delegate* delegate) { __atomic_fetch_add(&delegate->references, 1, __ATOMIC_RELAXED); }

void let_go(Delegate* delegate) {
  if (__atomic_sub_fetch(&delegate->references, 1, __ATOMIC_ACQ_REL) > 0) return;
  if (delegate->options.profile[0] && !write_profile(*delegate)) {
    fprintf(stderr, "onebit: cannot write the profile %s\n", delegate->options.profile);
  }
  delegate->~Delegate();
  free(delegate);
}

}  // namespace onebit

#define ONEBIT_EXPORT extern "C" __attribute__((visibility("default")))

ONEBIT_EXPORT TfLiteDelegate* tflite_plugin_create_delegate(const char* const* keys,
                                                            const char* const* values, size_t count,
                                                            void (*report_error)(const char*)) {
  using namespace onebit;
  void* memory;  // its thread pool wants cache lines of its own
  if (posix_memalign(&memory, alignof(Delegate), sizeof(Delegate)) != 0) return nullptr;
  Delegate* delegate = new (memory) Delegate();
  for (size_t i = 0; i < count; ++i) {
    if (read_option_pair(keys[i], values[i], &delegate->options, report_error)) continue;
    delegate->options.profile[0] = 0;
    let_go(delegate);
    return nullptr;
  }
  delegate->interface.data = delegate;
  delegate->interface.Prepare = prepare_delegate;
  // LCE's own operators are unknown to the interpreter, and its check for dynamic tensors, which
  // this flag turns off, would prepare them before the delegate takes them away.
  delegate->interface.flags = kTfLiteDelegateFlagsAllowDynamicTensors;
  return &delegate->interface;
}

ONEBIT_EXPORT void tflite_plugin_destroy_delegate(TfLiteDelegate* delegate) {
  if (delegate) onebit::let_go(static_cast<onebit::Delegate*>(delegate->data));
}
