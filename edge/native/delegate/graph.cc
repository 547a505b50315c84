#include "graph.h"

#include <stdarg.h>
#include <stdio.h>

namespace onebit {

int Partition::value_of(int tensor) {
  if (tensor < 0 || static_cast<size_t>(tensor) >= context->tensors_size) return -1;
  for (int i = 0; i < values.size(); ++i) {
    if (values[i].tensor == tensor) return i;
  }
  Value value = {};
  value.tensor = tensor;
  value.home = -1;
  const TfLiteTensor& t = context->tensors[tensor];
  value.type = t.type;
  const int rank = t.dims ? t.dims->size : 0;
  // A rank that no operator here takes becomes one that all of them refuse.
  value.rank = rank > Value::kMaxRank ? 0 : rank;
  for (int i = 0; i < value.rank; ++i) value.dims[i] = t.dims->data[i];
  values.push(value);
  return values.size() - 1;
}

const void* Partition::constant(int value, TfLiteType type, int64_t count) {
  if (value < 0 || count < 0) return nullptr;
  const TfLiteTensor& t = tensor_of(value);
  if (t.allocation_type != kTfLiteMmapRo || t.data == nullptr || t.type != type) return nullptr;
  if (elements(values[value]) != count || t.bytes < count * size_of(type)) return nullptr;
  return t.data;
}

void Partition::set_shape(int value, int rank, const int* dims, TfLiteType type) {
  if (value < 0) return;
  Value& v = values[value];
  v.rank = rank;
  for (int i = 0; i < rank; ++i) v.dims[i] = dims[i];
  v.type = type;
}

int Partition::add_scratch(size_t bytes) {
  Value value = {};
  value.tensor = value.home = -1;
  value.bytes = bytes;
  values.push(value);
  return values.size() - 1;
}

bool Partition::fail(const Op& op, const char* format, ...) {
  if (error[0]) return false;  // the first reason is the one to mend
  int used = snprintf(error, sizeof error, "onebit: %s (node %d): ", op.type->name, op.node);
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

int64_t elements(const Value& value) {
  int64_t count = 1;
  for (int i = 0; i < value.rank; ++i) {
    if (value.dims[i] <= 0) return -1;
    count *= value.dims[i];
    if (count > 1 << 30) return -1;
  }
  return count;
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

}  // namespace onebit
