// Runs one operator of the shim, for a test in Python.
#include "net_tflm.h"

extern "C" {

struct RunTensor {
  int32_t type, rank, dims[4];
  void* data;
  float scale;
  int32_t zero_point;
};

// The last tensor is the output. Returns 0, or the number of the step that failed.
int run_op(int op, const char* options, size_t length, const RunTensor* tensors, int count) {
  TFLMRegistration (*const all[])() = {net_register_bconv2d, net_register_bmaxpool2d,
                                       net_register_quantize, net_register_dequantize};
  const TFLMRegistration registration = all[op]();
  tflite::MicroContext micro;
  std::vector<TfLiteTensor> known(static_cast<size_t>(count));
  std::vector<TfLiteIntArray> dims(static_cast<size_t>(count));
  for (size_t i = 0; i < known.size(); ++i) {
    const RunTensor& t = tensors[i];
    dims[i].size = t.rank;
    for (int d = 0; d < t.rank; ++d) dims[i].data[d] = t.dims[d];
    known[i].type = static_cast<TfLiteType>(t.type);
    known[i].data.data = t.data;
    known[i].dims = &dims[i];
    known[i].params = {t.scale, t.zero_point};
    micro.tensors.push_back(t.data == nullptr ? nullptr : &known[i]);
    micro.values.push_back({known[i].data});
  }
  TfLiteContext context{&micro};
  TfLiteNode node{registration.init(&context, options, length)};
  if (registration.prepare(&context, &node) != kTfLiteOk) return 1;
  if (micro.borrowed != 0) return 2;
  return registration.invoke(&context, &node) == kTfLiteOk ? 0 : 3;
}

int registered() {
  tflite::MicroMutableOpResolver<net_op_count> resolver;
  return net_add_ops(&resolver) == kTfLiteOk ? static_cast<int>(resolver.count) : -1;
}
}
