/* What the shim of `--to tflm` uses of TensorFlow Lite Micro, in our own words: enough to compile
 * it and to run one operator. Names and signatures are TFLM's; nothing else is. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <cstdio>
#include <memory>
#include <vector>

#include "edge/native/delegate/flexbuffer.h"

enum TfLiteStatus { kTfLiteOk = 0, kTfLiteError = 1 };
enum TfLiteType { kTfLiteFloat32 = 1, kTfLiteInt32 = 2, kTfLiteBool = 6, kTfLiteInt8 = 9 };

struct TfLiteIntArray {
  int size;
  int data[4];
};

union TfLitePtrUnion {
  int32_t* i32;
  float* f;
  char* raw;
  void* data;
};

struct TfLiteQuantizationParams {
  float scale;
  int32_t zero_point;
};

struct TfLiteTensor {
  TfLiteType type;
  TfLitePtrUnion data;
  TfLiteIntArray* dims;
  TfLiteQuantizationParams params;
};

struct TfLiteEvalTensor {
  TfLitePtrUnion data;
};

struct TfLiteContext {
  void* impl_;
};

struct TfLiteNode {
  void* user_data;
};

struct TFLMRegistration {
  void* (*init)(TfLiteContext*, const char*, size_t);
  void (*free)(TfLiteContext*, void*);
  TfLiteStatus (*prepare)(TfLiteContext*, TfLiteNode*);
  TfLiteStatus (*invoke)(TfLiteContext*, TfLiteNode*);
  void (*reset)(TfLiteContext*, void*);
  int32_t builtin_code;
  const char* custom_name;
};

inline void MicroPrintf(const char* format, const char* a, const char* b) {
  std::fprintf(stderr, format, a, b);
}

namespace tflite {

// One operator's tensors; the last is its output.
struct MicroContext {
  std::vector<TfLiteTensor*> tensors;  // nullptr where an input is absent
  std::vector<TfLiteEvalTensor> values;
  std::vector<std::unique_ptr<uint64_t[]>> memory, scratch;
  int borrowed = 0;

  void* AllocatePersistentBuffer(size_t bytes) {
    memory.emplace_back(new uint64_t[bytes / 8 + 1]);
    return memory.back().get();
  }
  TfLiteStatus RequestScratchBufferInArena(size_t bytes, int* index) {
    *index = static_cast<int>(scratch.size());
    scratch.emplace_back(new uint64_t[bytes / 8 + 1]);
    return kTfLiteOk;
  }
  void* GetScratchBuffer(int index) { return scratch[static_cast<size_t>(index)].get(); }
  TfLiteTensor* AllocateTempInputTensor(const TfLiteNode*, int index) {
    const size_t i = static_cast<size_t>(index);
    if (i + 1 >= tensors.size() || tensors[i] == nullptr) return nullptr;
    ++borrowed;
    return tensors[i];
  }
  TfLiteTensor* AllocateTempOutputTensor(const TfLiteNode*, int) {
    ++borrowed;
    return tensors.back();
  }
  void DeallocateTempTfLiteTensor(TfLiteTensor*) { --borrowed; }
};

inline MicroContext* GetMicroContext(const TfLiteContext* context) {
  return static_cast<MicroContext*>(context->impl_);
}

namespace micro {

inline TFLMRegistration RegisterOp(void* (*init)(TfLiteContext*, const char*, size_t),
                                   TfLiteStatus (*prepare)(TfLiteContext*, TfLiteNode*),
                                   TfLiteStatus (*invoke)(TfLiteContext*, TfLiteNode*)) {
  return {init, nullptr, prepare, invoke, nullptr, 0, nullptr};
}
inline const TfLiteEvalTensor* GetEvalInput(const TfLiteContext* context, const TfLiteNode*,
                                            int index) {
  return &GetMicroContext(context)->values[static_cast<size_t>(index)];
}
inline TfLiteEvalTensor* GetEvalOutput(const TfLiteContext* context, const TfLiteNode*, int) {
  return &GetMicroContext(context)->values.back();
}
template <typename T>
T* GetTensorData(TfLiteEvalTensor* tensor) {
  return reinterpret_cast<T*>(tensor->data.raw);
}
template <typename T>
const T* GetTensorData(const TfLiteEvalTensor* tensor) {
  return reinterpret_cast<const T*>(tensor->data.raw);
}

}  // namespace micro

// Counts what a model registers.
template <unsigned int N>
struct MicroMutableOpResolver {
  unsigned int count = 0;
  TfLiteStatus AddCustom(const char*, const TFLMRegistration* registration) {
    return registration->prepare != nullptr && ++count <= N ? kTfLiteOk : kTfLiteError;
  }
};

}  // namespace tflite

namespace flexbuffers {

struct Value {
  int32_t number;
  int32_t AsInt32() const { return number; }
};

struct Map {
  const uint8_t* data;
  size_t length;
  Value operator[](const char* key) const {
    Value value{0};
    onebit::flex_lookup(data, length, key, &value.number);
    return value;
  }
};

struct Root {
  Map map;
  Map AsMap() const { return map; }
};

inline Root GetRoot(const uint8_t* data, size_t length) { return {{data, length}}; }

}  // namespace flexbuffers
