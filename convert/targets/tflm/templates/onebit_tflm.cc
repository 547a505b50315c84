// Written by `onebit convert export`; do not edit.
//
// Larq Compute Engine's operators for TensorFlow Lite Micro: what its interpreter asks of an
// operator, around the kernels in C. Nothing is computed here.
#include "onebit_tflm.h"

#include <cstddef>
#include <cstdint>

#include "flatbuffers/flexbuffers.h"
#include "onebit_kernels.h"
#include "tensorflow/lite/c/common.h"
#include "tensorflow/lite/micro/kernels/kernel_util.h"
#include "tensorflow/lite/micro/micro_context.h"
#include "tensorflow/lite/micro/micro_log.h"

namespace {

using tflite::micro::GetEvalInput;
using tflite::micro::GetEvalOutput;
using tflite::micro::GetTensorData;

// A tensor as Prepare sees it.
class Temporary {
 public:
  Temporary(tflite::MicroContext* context, TfLiteTensor* tensor)
      : context_(context), tensor_(tensor) {}
  ~Temporary() {
    if (tensor_ != nullptr) context_->DeallocateTempTfLiteTensor(tensor_);
  }
  Temporary(const Temporary&) = delete;
  Temporary& operator=(const Temporary&) = delete;
  bool is_there() const { return tensor_ != nullptr; }
  const TfLiteTensor* operator->() const { return tensor_; }
  int32_t size(int dimension) const { return tensor_->dims->data[dimension]; }

 private:
  tflite::MicroContext* context_;
  TfLiteTensor* tensor_;
};

TfLiteStatus refuse(const char* op, const char* cause) {
  MicroPrintf("%s: %s", op, cause);
  return kTfLiteError;
}

template <typename T>
T* persistent(TfLiteContext* context, size_t count = 1) {
  return static_cast<T*>(
      tflite::GetMicroContext(context)->AllocatePersistentBuffer(count * sizeof(T)));
}

int32_t product(const TfLiteIntArray* dims, int end) {
  int32_t count = 1;
  for (int i = 0; i < end; ++i) count *= dims->data[i];
  return count;
}

// The pads in front of a window along one dimension.
int32_t pads_before(bool same, int32_t in, int32_t out, int32_t kernel, int32_t stride,
                    int32_t dilation) {
  const int32_t missing = (out - 1) * stride + (kernel - 1) * dilation + 1 - in;
  return same && missing > 0 ? missing / 2 : 0;
}

// --- LceBconv2d

enum { kSame = 0 };
enum { kNone = 0, kRelu = 1, kReluN1To1 = 2, kRelu6 = 3 };

struct Bconv {
  onebit_bconv layer;
  int32_t channels_in, activation;
  bool same;
  TfLiteType type;
  int32_t batches, step_in, step_out;
  int scratch;
};

void* bconv_init(TfLiteContext* context, const char* buffer, size_t length) {
  Bconv* const op = persistent<Bconv>(context);
  if (op == nullptr) return nullptr;
  *op = Bconv();
  const auto options =
      flexbuffers::GetRoot(reinterpret_cast<const uint8_t*>(buffer), length).AsMap();
  onebit_window* const w = &op->layer.window;
  w->stride_h = options["stride_height"].AsInt32();
  w->stride_w = options["stride_width"].AsInt32();
  w->dilation_h = options["dilation_height_factor"].AsInt32();
  w->dilation_w = options["dilation_width_factor"].AsInt32();
  op->same = options["padding"].AsInt32() == kSame;
  op->layer.zero_padding = op->same && options["pad_values"].AsInt32() == 0;
  op->channels_in = options["channels_in"].AsInt32();
  op->activation = options["fused_activation_function"].AsInt32();
  return op;
}

// The clamp of 2a = K - s, s being the sum that an activation clamps.
void set_clamp(Bconv* op, int32_t k) {
  op->layer.clamp_min = 0;
  op->layer.clamp_max = 2 * k;
  if (op->activation == kRelu || op->activation == kRelu6) op->layer.clamp_max = k;
  if (op->activation == kRelu6 && k > 6) op->layer.clamp_min = k - 6;
  if (op->activation == kReluN1To1) {
    op->layer.clamp_min = k - 1;
    op->layer.clamp_max = k + 1;
  }
}

TfLiteStatus set_factors(TfLiteContext* context, Bconv* op, const Temporary& multiplier,
                         const Temporary& bias, const Temporary& out, int32_t k) {
  if (!multiplier.is_there() || !bias.is_there()) return refuse("LceBconv2d", "it has no scales");
  const int32_t outputs = op->layer.window.out_c;
  float* const multipliers = persistent<float>(context, static_cast<size_t>(outputs));
  float* const biases = persistent<float>(context, static_cast<size_t>(outputs));
  if (multipliers == nullptr || biases == nullptr) return kTfLiteError;
  const bool is_int8 = op->type == kTfLiteInt8;
  const double scale = is_int8 ? static_cast<double>(out->params.scale) : 1.0;
  const double zero = is_int8 ? out->params.zero_point : 0;
  for (int32_t o = 0; o < outputs; ++o) {
    // Folded in double and rounded once, as in Larq Compute Engine.
    const double m = static_cast<double>(multiplier->data.f[o]);
    multipliers[o] = static_cast<float>(-m / scale);
    biases[o] = static_cast<float>((static_cast<double>(bias->data.f[o]) + k * m) / scale + zero);
  }
  op->layer.multipliers = multipliers;
  op->layer.biases = biases;
  return kTfLiteOk;
}

TfLiteStatus set_limits(TfLiteContext* context, Bconv* op, const Temporary& thresholds, int32_t k) {
  if (!thresholds.is_there()) return refuse("LceBconv2d", "it has no thresholds");
  const int32_t outputs = op->layer.window.out_c;
  onebit_limit* const limits = persistent<onebit_limit>(context, static_cast<size_t>(outputs));
  if (limits == nullptr) return kTfLiteError;
  for (int32_t o = 0; o < outputs; ++o) {
    const int64_t twice = 2 * static_cast<int64_t>(thresholds->data.i32[o]);
    limits[o] = twice < -1 ? -1 : twice > 2 * k ? 2 * k : static_cast<int32_t>(twice);
  }
  op->layer.limits = limits;
  return kTfLiteOk;
}

TfLiteStatus bconv_prepare(TfLiteContext* context, TfLiteNode* node) {
  tflite::MicroContext* const micro = tflite::GetMicroContext(context);
  Bconv* const op = static_cast<Bconv*>(node->user_data);
  const Temporary x(micro, micro->AllocateTempInputTensor(node, 0));
  const Temporary filter(micro, micro->AllocateTempInputTensor(node, 1));
  const Temporary multiplier(micro, micro->AllocateTempInputTensor(node, 2));
  const Temporary bias(micro, micro->AllocateTempInputTensor(node, 3));
  const Temporary thresholds(micro, micro->AllocateTempInputTensor(node, 4));
  const Temporary out(micro, micro->AllocateTempOutputTensor(node, 0));
  if (op == nullptr || !x.is_there() || !filter.is_there() || !out.is_there()) return kTfLiteError;
  if (x->dims->size != 4 || filter->dims->size != 4 || out->dims->size != 4 ||
      filter->data.data == nullptr || x.size(3) % filter.size(3) != 0) {
    return refuse("LceBconv2d", "its shapes are not those of a convolution");
  }
  onebit_window* const w = &op->layer.window;
  w->in_h = x.size(1), w->in_w = x.size(2), w->in_c = op->channels_in;
  w->out_h = out.size(1), w->out_w = out.size(2), w->out_c = filter.size(0);
  w->kernel_h = filter.size(1), w->kernel_w = filter.size(2);
  w->pad_top = pads_before(op->same, w->in_h, w->out_h, w->kernel_h, w->stride_h, w->dilation_h);
  w->pad_left = pads_before(op->same, w->in_w, w->out_w, w->kernel_w, w->stride_w, w->dilation_w);
  op->layer.groups = x.size(3) / filter.size(3);
  op->layer.filters = reinterpret_cast<const uint32_t*>(filter->data.i32);
  op->type = out->type;
  op->batches = x.size(0);
  op->step_in = w->in_h * w->in_w * x.size(3);
  op->step_out = w->out_h * w->out_w * out.size(3);
  const int32_t taps = w->kernel_h * w->kernel_w, k = taps * (w->in_c / op->layer.groups);
  set_clamp(op, k);
  const TfLiteStatus status = op->type == kTfLiteInt32
                                  ? set_limits(context, op, thresholds, k)
                                  : set_factors(context, op, multiplier, bias, out, k);
  if (status != kTfLiteOk) return status;
  const int32_t words = ONEBIT_BCONV_SCRATCH(w->kernel_h, w->kernel_w, filter.size(3), w->out_c);
  return micro->RequestScratchBufferInArena(sizeof(uint32_t) * static_cast<size_t>(words),
                                            &op->scratch);
}

TfLiteStatus bconv_invoke(TfLiteContext* context, TfLiteNode* node) {
  const Bconv* const op = static_cast<const Bconv*>(node->user_data);
  const uint32_t* x = GetTensorData<uint32_t>(GetEvalInput(context, node, 0));
  TfLiteEvalTensor* const out = GetEvalOutput(context, node, 0);
  uint32_t* const scratch =
      static_cast<uint32_t*>(tflite::GetMicroContext(context)->GetScratchBuffer(op->scratch));
  for (int32_t n = 0; n < op->batches; ++n, x += op->step_in) {
    const int32_t at = n * op->step_out;
    if (op->type == kTfLiteInt32) {
      onebit_bconv_bits(&op->layer, x, GetTensorData<uint32_t>(out) + at, scratch);
    } else if (op->type == kTfLiteInt8) {
      onebit_bconv_s8(&op->layer, x, GetTensorData<int8_t>(out) + at, scratch);
    } else {
      onebit_bconv_f32(&op->layer, x, GetTensorData<float>(out) + at, scratch);
    }
  }
  return kTfLiteOk;
}

// --- LceBMaxPool2d

struct BmaxPool {
  onebit_window window;
  bool same;
  int32_t batches, step_in, step_out;
};

void* pool_init(TfLiteContext* context, const char* buffer, size_t length) {
  BmaxPool* const op = persistent<BmaxPool>(context);
  if (op == nullptr) return nullptr;
  *op = BmaxPool();
  const auto options =
      flexbuffers::GetRoot(reinterpret_cast<const uint8_t*>(buffer), length).AsMap();
  onebit_window* const w = &op->window;
  w->kernel_h = options["filter_height"].AsInt32();
  w->kernel_w = options["filter_width"].AsInt32();
  w->stride_h = options["stride_height"].AsInt32();
  w->stride_w = options["stride_width"].AsInt32();
  w->dilation_h = w->dilation_w = 1;
  op->same = options["padding"].AsInt32() == kSame;
  return op;
}

TfLiteStatus pool_prepare(TfLiteContext* context, TfLiteNode* node) {
  tflite::MicroContext* const micro = tflite::GetMicroContext(context);
  BmaxPool* const op = static_cast<BmaxPool*>(node->user_data);
  const Temporary x(micro, micro->AllocateTempInputTensor(node, 0));
  const Temporary out(micro, micro->AllocateTempOutputTensor(node, 0));
  if (op == nullptr || !x.is_there() || !out.is_there()) return kTfLiteError;
  if (x->dims->size != 4 || out->dims->size != 4) {
    return refuse("LceBMaxPool2d", "its shapes are not those of images");
  }
  onebit_window* const w = &op->window;
  w->in_h = x.size(1), w->in_w = x.size(2), w->in_c = w->out_c = 32 * x.size(3);
  w->out_h = out.size(1), w->out_w = out.size(2);
  w->pad_top = pads_before(op->same, w->in_h, w->out_h, w->kernel_h, w->stride_h, 1);
  w->pad_left = pads_before(op->same, w->in_w, w->out_w, w->kernel_w, w->stride_w, 1);
  op->batches = x.size(0);
  op->step_in = w->in_h * w->in_w * x.size(3);
  op->step_out = w->out_h * w->out_w * x.size(3);
  return kTfLiteOk;
}

TfLiteStatus pool_invoke(TfLiteContext* context, TfLiteNode* node) {
  const BmaxPool* const op = static_cast<const BmaxPool*>(node->user_data);
  const uint32_t* x = GetTensorData<uint32_t>(GetEvalInput(context, node, 0));
  uint32_t* y = GetTensorData<uint32_t>(GetEvalOutput(context, node, 0));
  for (int32_t n = 0; n < op->batches; ++n, x += op->step_in, y += op->step_out) {
    onebit_max_pool_bits(&op->window, x, y);
  }
  return kTfLiteOk;
}

// --- LceQuantize and LceDequantize

// Values on one side and bits on the other.
struct Signs {
  TfLiteType type;
  int32_t rows, channels, zero_point;
  uint8_t positive, negative;
};

void* signs_init(TfLiteContext* context, const char*, size_t) { return persistent<Signs>(context); }

TfLiteStatus set_signs(Signs* op, const Temporary& values) {
  const TfLiteIntArray* const dims = values->dims;
  op->type = values->type;
  op->rows = product(dims, dims->size - 1);
  op->channels = dims->data[dims->size - 1];
  op->zero_point = values->params.zero_point;
  op->positive = 1, op->negative = 0; /* of bool */
  return op->type == kTfLiteFloat32 || op->type == kTfLiteInt8 || op->type == kTfLiteBool
             ? kTfLiteOk
             : refuse("LceQuantize", "it is not about float32, int8 or bool");
}

TfLiteStatus quantize_prepare(TfLiteContext* context, TfLiteNode* node) {
  tflite::MicroContext* const micro = tflite::GetMicroContext(context);
  Signs* const op = static_cast<Signs*>(node->user_data);
  const Temporary x(micro, micro->AllocateTempInputTensor(node, 0));
  return op == nullptr || !x.is_there() ? kTfLiteError : set_signs(op, x);
}

TfLiteStatus quantize_invoke(TfLiteContext* context, TfLiteNode* node) {
  const Signs* const op = static_cast<const Signs*>(node->user_data);
  const TfLiteEvalTensor* const x = GetEvalInput(context, node, 0);
  uint32_t* const y = GetTensorData<uint32_t>(GetEvalOutput(context, node, 0));
  if (op->type == kTfLiteFloat32) {
    onebit_sign_bits_f32(GetTensorData<float>(x), y, op->rows, op->channels);
  } else if (op->type == kTfLiteInt8) {
    onebit_sign_bits_s8(GetTensorData<int8_t>(x), y, op->rows, op->channels, op->zero_point);
  } else {
    onebit_sign_bits_bool(GetTensorData<uint8_t>(x), y, op->rows, op->channels);
  }
  return kTfLiteOk;
}

uint8_t stored(int32_t value) {
  return static_cast<uint8_t>(value < -128 ? -128 : value > 127 ? 127 : value);
}

TfLiteStatus dequantize_prepare(TfLiteContext* context, TfLiteNode* node) {
  tflite::MicroContext* const micro = tflite::GetMicroContext(context);
  Signs* const op = static_cast<Signs*>(node->user_data);
  const Temporary out(micro, micro->AllocateTempOutputTensor(node, 0));
  if (op == nullptr || !out.is_there()) return kTfLiteError;
  const TfLiteStatus status = set_signs(op, out);
  if (status == kTfLiteOk && op->type == kTfLiteInt8) {
    const int32_t one = static_cast<int32_t>(1.0f / out->params.scale + 0.5f);
    op->positive = stored(op->zero_point + one);
    op->negative = stored(op->zero_point - one);
  }
  return status;
}

TfLiteStatus dequantize_invoke(TfLiteContext* context, TfLiteNode* node) {
  const Signs* const op = static_cast<const Signs*>(node->user_data);
  const uint32_t* const x = GetTensorData<uint32_t>(GetEvalInput(context, node, 0));
  TfLiteEvalTensor* const out = GetEvalOutput(context, node, 0);
  if (op->type == kTfLiteFloat32) {
    onebit_sign_values_f32(x, GetTensorData<float>(out), op->rows, op->channels);
  } else {
    onebit_sign_values_8(x, GetTensorData<uint8_t>(out), op->rows, op->channels, op->positive,
                         op->negative);
  }
  return kTfLiteOk;
}

}  // namespace

TFLMRegistration onebit_register_bconv2d() {
  return tflite::micro::RegisterOp(bconv_init, bconv_prepare, bconv_invoke);
}

TFLMRegistration onebit_register_bmaxpool2d() {
  return tflite::micro::RegisterOp(pool_init, pool_prepare, pool_invoke);
}

TFLMRegistration onebit_register_quantize() {
  return tflite::micro::RegisterOp(signs_init, quantize_prepare, quantize_invoke);
}

TFLMRegistration onebit_register_dequantize() {
  return tflite::micro::RegisterOp(signs_init, dequantize_prepare, dequantize_invoke);
}
