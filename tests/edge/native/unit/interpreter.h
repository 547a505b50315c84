// The part of a TFLite interpreter that a delegate meets, small enough to be inspected.
#pragma once

#include <stdarg.h>
#include <string.h>

#include <memory>
#include <numeric>
#include <string>
#include <vector>

#include "delegate/tflite_abi.h"

extern "C" {
TfLiteDelegate* tflite_plugin_create_delegate(const char* const*, const char* const*, size_t,
                                              void (*)(const char*));
void tflite_plugin_destroy_delegate(TfLiteDelegate*);
}

class Interpreter {
 public:
  Interpreter() {
    context_.impl = this;
    context_.recommended_num_threads = 2;
    context_.GetExecutionPlan = [](TfLiteContext* context, TfLiteIntArray** plan) {
      *plan = self(context).plan_.get();
      return kTfLiteOk;
    };
    context_.GetNodeAndRegistration = [](TfLiteContext* context, int node, TfLiteNode** found,
                                         TfLiteRegistration** registration) {
      *found = &self(context).nodes_[node]->node;
      *registration = &self(context).nodes_[node]->registration;
      return kTfLiteOk;
    };
    context_.ResizeTensor = [](TfLiteContext* context, TfLiteTensor* tensor, TfLiteIntArray* dims) {
      self(context).resize(tensor, dims);
      return kTfLiteOk;
    };
    context_.ReportError = report;
    context_.ReplaceNodeSubsetsWithDelegateKernels =
        [](TfLiteContext* context, TfLiteRegistration registration, const TfLiteIntArray* nodes,
           TfLiteDelegate* delegate) {
          return self(context).replace(registration, nodes, delegate);
        };
  }
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;
  ~Interpreter() {
    undo();
    for (TfLiteTensor& tensor : tensors_) {
      free(tensor.dims);
      if (tensor.allocation_type != kTfLiteMmapRo) free(tensor.data);
    }
  }

  // A tensor; with `data` a constant of the file, which the caller keeps.
  int tensor(TfLiteType type, const std::vector<int>& dims, const void* data = nullptr) {
    TfLiteTensor tensor = {};
    tensor.type = type;
    tensor.dims = array(dims).release();
    tensor.bytes = 4;
    for (const int dim : dims) tensor.bytes *= dim;
    tensor.data = data ? const_cast<void*>(data) : calloc(1, tensor.bytes);
    tensor.allocation_type = data ? kTfLiteMmapRo : 0;
    tensors_.push_back(tensor);
    context_.tensors = tensors_.data();
    context_.tensors_size = tensors_.size();
    return static_cast<int>(tensors_.size()) - 1;
  }
  void node(const char* custom, int builtin, const std::vector<int>& inputs, int output,
            void* options = nullptr, const void* custom_options = nullptr, int size = 0) {
    auto node = std::make_unique<Node>();
    node->inputs = array(inputs);
    node->outputs = array({output});
    node->node.inputs = node->inputs.get();
    node->node.outputs = node->outputs.get();
    node->node.builtin_data = options;
    node->node.custom_initial_data = custom_options;
    node->node.custom_initial_data_size = size;
    node->registration.custom_name = custom;
    node->registration.builtin_code = builtin;
    nodes_.push_back(std::move(node));
    std::vector<int> all(nodes_.size());
    std::iota(all.begin(), all.end(), 0);
    plan_ = array(all);
  }

  float* floats(int tensor) { return static_cast<float*>(tensors_[tensor].data); }
  std::vector<int> inputs(int node) const {
    const TfLiteIntArray& list = *nodes_[node]->node.inputs;
    return {list.data, list.data + list.size};
  }
  const std::string& error() const { return error_; }

  // Hands the nodes to the delegate, which makes one partition of those that it claims.
  bool apply(TfLiteDelegate* delegate, const std::vector<int>& outputs) {
    outputs_ = array(outputs);
    return delegate->Prepare(&context_, delegate) == kTfLiteOk;
  }
  void undo() {
    if (partitioned_) registration_.free(&context_, partition_.user_data);
    partitioned_ = false;
  }
  bool prepare() { return registration_.prepare(&context_, &partition_) == kTfLiteOk; }
  bool invoke() { return registration_.invoke(&context_, &partition_) == kTfLiteOk; }
  int claimed() const { return claimed_; }

 private:
  using IntArray = std::unique_ptr<TfLiteIntArray, void (*)(void*)>;
  struct Node {
    IntArray inputs = {nullptr, free}, outputs = {nullptr, free};
    TfLiteNode node = {};
    TfLiteRegistration registration = {};
  };

  static Interpreter& self(TfLiteContext* context) {
    return *static_cast<Interpreter*>(context->impl);
  }
  static IntArray array(const std::vector<int>& values) {
    const size_t bytes = sizeof(TfLiteIntArray) + sizeof(int) * values.size();
    auto* made = static_cast<TfLiteIntArray*>(malloc(bytes));
    made->size = static_cast<int>(values.size());
    if (!values.empty()) memcpy(made->data, values.data(), sizeof(int) * values.size());
    return {made, free};
  }
  static void report(TfLiteContext* context, const char* format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    self(context).error_ = text;
  }
  void resize(TfLiteTensor* tensor, TfLiteIntArray* dims) {
    free(tensor->dims);
    tensor->dims = dims;
    tensor->bytes = 4;
    for (int i = 0; i < dims->size; ++i) tensor->bytes *= dims->data[i];
    free(tensor->data);
    tensor->data = calloc(1, tensor->bytes);
  }
  TfLiteStatus replace(const TfLiteRegistration& registration, const TfLiteIntArray* nodes,
                       TfLiteDelegate* delegate) {
    const std::vector<int> claimed(nodes->data, nodes->data + nodes->size);
    IntArray list = array(claimed), none = array({});
    TfLiteDelegateParams params = {delegate, list.get(), none.get(), outputs_.get()};
    claimed_ = nodes->size;
    registration_ = registration;
    partition_ = {};
    partition_.user_data = registration.init(&context_, reinterpret_cast<const char*>(&params), 0);
    partitioned_ = true;
    return kTfLiteOk;
  }

  TfLiteContext context_ = {};
  std::vector<TfLiteTensor> tensors_;
  std::vector<std::unique_ptr<Node>> nodes_;
  IntArray plan_ = {nullptr, free}, outputs_ = {nullptr, free};
  TfLiteRegistration registration_ = {};
  TfLiteNode partition_ = {};
  bool partitioned_ = false;
  int claimed_ = 0;
  std::string error_;
};
