#include "op_types.h"

namespace onebit {
namespace {

const OpType* const kOpTypes[] = {
    &kQuantize,
    &kDequantize,
    &kBconv,
    &kBMaxPool,
    &kAdd,
    &kMul,
    &kConcat,
    &kReshape,
    &kMaxPool,
    &kWeightOnlyDense,
    &kWeightOnlyConv,
    &kWeightOnlyDepthwise,
};

}  // namespace

const OpType* find_op_type(const TfLiteRegistration& registration) {
  const char* custom = registration.custom_name;
  for (const OpType* type : kOpTypes) {
    const bool found = custom ? type->builtin < 0 && strcmp(type->name, custom) == 0
                              : type->builtin == registration.builtin_code;
    if (found) return type;
  }
  return nullptr;
}

}  // namespace onebit
