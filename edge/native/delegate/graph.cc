#include "graph.h"

#include <stdarg.h>
#include <stdio.h>

namespace onebit {

bool Partition::value_of(int tensor, int* value) {
  *value = -1;
  if (tensor < 0 || static_cast<size_t>(tensor) >= context->tensors_size) return true;
  for (int i = 0; i < values.size(); ++i) {
    if (values[i].tensor != tensor) continue;
    *value = i;
    return true;
  }
  Value described;
  described.tensor = tensor;
  read_info(context->tensors[tensor], &described);
  if (!values.push(described)) return false;
  *value = values.size() - 1;
  return true;
}

int64_t Partition::constant_size(int value) {
  if (value < 0) return -1;
  const TfLiteTensor& t = tensor_of(value);
  if (!is_constant(t) || t.dims == nullptr) return -1;
  int64_t count = 1;
  for (int i = 0; i < t.dims->size; ++i) {
    if (t.dims->data[i] < 0 || count > INT32_MAX) return -1;
    count *= t.dims->data[i];
  }
  return count;
}

const void* Partition::constant(int value, TfLiteType type, int64_t count) {
  if (count < 0 || constant_size(value) != count) return nullptr;
  const TfLiteTensor& t = tensor_of(value);
  const uint64_t bytes = static_cast<uint64_t>(count) * size_of(type);
  return t.type == type && t.bytes >= bytes ? t.data : nullptr;
}

void Partition::set_shape(int value, int rank, const int* dims, TfLiteType type) {
  if (value < 0) return;
  Value& v = values[value];
  v.rank = rank;
  for (int i = 0; i < rank; ++i) v.dims[i] = dims[i];
  v.type = type;
}

bool Partition::add_scratch(Op& op, uint64_t bytes) {
  Value value;
  if (bytes > kMaxBytes || !values.push(value)) return out_of_memory(op);
  op.scratch = values.size() - 1;
  values[op.scratch].bytes = static_cast<size_t>(bytes);
  return true;
}

bool Partition::fail(const Op& op, const char* format, ...) {
  if (error[0]) return false;
  const int used = snprintf(error, sizeof error, "onebit: %s (node %d): ", op.type->name, op.node);
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(error + used, sizeof error - used, format, arguments);
  va_end(arguments);
  return false;
}

size_t size_of(TfLiteType type) {
  switch (type) {
    case kTfLiteFloat32:
    case kTfLiteInt32:
      return 4;
    case kTfLiteInt8:
    case kTfLiteBool:
      return 1;
    default:
      return 0;
  }
}

const char* type_name(TfLiteType type) {
  switch (type) {
    case kTfLiteFloat32:
      return "float32";
    case kTfLiteInt32:
      return "int32";
    case kTfLiteInt8:
      return "int8";
    case kTfLiteBool:
      return "bool";
    default:
      return "another type";
  }
}

int64_t elements(const TensorInfo& info) {
  constexpr int64_t kMost = sizeof(size_t) == 4 ? 1 << 28 : 1 << 30;
  if (info.rank < 0) return -1;
  bool empty = false;
  for (int i = 0; i < info.rank; ++i) {
    if (info.dims[i] < 0) return -1;
    empty |= info.dims[i] == 0;
  }
  if (empty) return 0;
  int64_t count = 1;
  for (int i = 0; i < info.rank; ++i) {
    count *= info.dims[i];
    if (count > kMost) return -1;
  }
  return count;
}

int64_t rows(const TensorInfo& info) {
  TensorInfo leading = info;
  if (leading.rank > 0) --leading.rank;
  return elements(leading);
}

int channels(const TensorInfo& info) { return info.rank > 0 ? info.dims[info.rank - 1] : 1; }

bool same_dims(const TensorInfo& a, const TensorInfo& b) {
  if (a.rank != b.rank) return false;
  for (int i = 0; i < a.rank; ++i) {
    if (a.dims[i] != b.dims[i]) return false;
  }
  return true;
}

bool same_dims(const TfLiteIntArray* a, const TensorInfo& b) {
  if (a == nullptr || a->size != b.rank) return false;
  for (int i = 0; i < b.rank; ++i) {
    if (a->data[i] != b.dims[i]) return false;
  }
  return true;
}

void read_info(const TfLiteTensor& tensor, TensorInfo* info) {
  info->type = tensor.type;
  info->rank = tensor.dims ? tensor.dims->size : 0;
  if (info->rank > TensorInfo::kMaxRank) info->rank = -1;
  for (int i = 0; i < info->rank; ++i) info->dims[i] = tensor.dims->data[i];
}

bool is_constant(const TfLiteTensor& tensor) {
  return tensor.allocation_type == kTfLiteMmapRo && tensor.data != nullptr;
}

const TfLiteTensor* tensor_at(const TfLiteContext& context, const TfLiteIntArray* list, int i) {
  if (i >= list->size) return nullptr;
  const int index = list->data[i];
  if (index < 0 || static_cast<size_t>(index) >= context.tensors_size) return nullptr;
  return &context.tensors[index];
}

bool is_float(const TfLiteTensor* tensor) {
  return tensor && tensor->type == kTfLiteFloat32 && tensor->dims && !tensor->is_variable;
}

bool known_activation(int activation) {
  return activation >= kTfLiteActNone && activation <= kTfLiteActRelu6;
}

}  // namespace onebit
