// The functions that the library exports: those that `load_delegate` and
// `--external_delegate_path` look for, and the list of its features.
#include "op_types.h"
#include "partition.h"
#include "select.h"

namespace onebit {
namespace {

struct Builtin {
  int code;
  const char* name;
};
// Names for the profile: operators that often surround binary layers.
const Builtin kBuiltins[] = {
    {kTfLiteBuiltinAdd, "ADD"},
    {kTfLiteBuiltinAveragePool2d, "AVERAGE_POOL_2D"},
    {kTfLiteBuiltinConcatenation, "CONCATENATION"},
    {kTfLiteBuiltinConv2d, "CONV_2D"},
    {kTfLiteBuiltinDepthwiseConv2d, "DEPTHWISE_CONV_2D"},
    {kTfLiteBuiltinDequantize, "DEQUANTIZE"},
    {kTfLiteBuiltinFullyConnected, "FULLY_CONNECTED"},
    {kTfLiteBuiltinLogistic, "LOGISTIC"},
    {kTfLiteBuiltinMaxPool2d, "MAX_POOL_2D"},
    {kTfLiteBuiltinMean, "MEAN"},
    {kTfLiteBuiltinMul, "MUL"},
    {kTfLiteBuiltinPad, "PAD"},
    {kTfLiteBuiltinPrelu, "PRELU"},
    {kTfLiteBuiltinQuantize, "QUANTIZE"},
    {kTfLiteBuiltinRelu, "RELU"},
    {kTfLiteBuiltinReshape, "RESHAPE"},
    {kTfLiteBuiltinSoftmax, "SOFTMAX"},
};

const char* name_of(const TfLiteRegistration& registration) {
  if (registration.custom_name) return registration.custom_name;
  for (const Builtin& builtin : kBuiltins) {
    if (builtin.code == registration.builtin_code) return builtin.name;
  }
  return "builtin";
}

void list_undelegated_nodes(TfLiteContext* context, const TfLiteIntArray& plan,
                            const Selection& selection, Delegate* delegate) {
  Lock lock(delegate->running);
  for (int i = 0; i < plan.size; ++i) {
    TfLiteNode* node;
    TfLiteRegistration* registration;
    if (selection.of(plan.data[i]) ||
        context->GetNodeAndRegistration(context, plan.data[i], &node, &registration) != kTfLiteOk) {
      continue;
    }
    append_undelegated_node(name_of(*registration), plan.data[i], &delegate->undelegated);
  }
}

// A TfLiteIntArray is a size followed by the elements.
const TfLiteIntArray& as_tflite(Array<int>& array) {
  return *reinterpret_cast<TfLiteIntArray*>(array.begin());
}

TfLiteStatus out_of_memory(TfLiteContext* context) {
  context->ReportError(context, "onebit: out of memory");
  return kTfLiteError;
}

TfLiteStatus prepare_delegate(TfLiteContext* context, TfLiteDelegate* interface) {
  Delegate& delegate = *static_cast<Delegate*>(interface->data);
  TfLiteIntArray* current;
  if (context->GetExecutionPlan(context, &current) != kTfLiteOk) return kTfLiteError;
  // The interpreter's array may change while nodes are asked for: work on a copy.
  Array<int> copy;
  if (!copy.push(current->size)) return out_of_memory(context);
  for (int i = 0; i < current->size; ++i) {
    if (!copy.push(current->data[i])) return out_of_memory(context);
  }
  const TfLiteIntArray& plan = as_tflite(copy);
  Selection selection;
  TemporaryWiring wiring;
  if (!select_nodes(context, plan, delegate.options.fuse, &selection, &wiring)) {
    return out_of_memory(context);
  }
  if (delegate.options.profile[0]) list_undelegated_nodes(context, plan, selection, &delegate);
  if (selection.claims.size() == 0) return kTfLiteOk;
  Array<int> nodes;
  if (!nodes.push(selection.claims.size())) return out_of_memory(context);
  for (const Claim& claim : selection.claims) {
    if (!nodes.push(claim.node)) return out_of_memory(context);
  }
  // Creates the partitions.
  Lock lock(delegate.selecting);
  delegate.selection = &selection;
  const TfLiteStatus status = context->ReplaceNodeSubsetsWithDelegateKernels(
      context, partition_registration(), &as_tflite(nodes), interface);
  delegate.selection = nullptr;
  return status;
}

}  // namespace
}  // namespace onebit

#define ONEBIT_EXPORT extern "C" __attribute__((visibility("default")))

ONEBIT_EXPORT TfLiteDelegate* tflite_plugin_create_delegate(const char* const* keys,
                                                            const char* const* values, size_t count,
                                                            void (*report_error)(const char*)) {
  using namespace onebit;
  Delegate* delegate = create_delegate();
  if (delegate == nullptr) {
    if (report_error) report_error("onebit: out of memory");
    return nullptr;
  }
  if (!read_options(keys, values, count, &delegate->options, report_error)) {
    delegate->options.profile[0] = 0;
    unref(delegate);
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
  if (delegate) onebit::unref(static_cast<onebit::Delegate*>(delegate->data));
}
