#include "geometry.h"

#include <algorithm>

#include "flexbuffer.h"

namespace onebit {
namespace {

bool place_line(int in, int kernel, int stride, int dilation, bool same, int* out, int* pad) {
  const int64_t reach = static_cast<int64_t>(kernel - 1) * dilation + 1;
  *pad = 0;
  if (!same) {
    if (reach > in) return false;
    *out = static_cast<int>((in - reach) / stride + 1);
    return true;
  }
  *out = static_cast<int>((static_cast<int64_t>(in) + stride - 1) / stride);
  const int64_t needed = static_cast<int64_t>(*out - 1) * stride + reach - in;
  if (needed > 1 << 20) return false;
  if (needed > 0) *pad = static_cast<int>(needed / 2);
  return true;
}

}  // namespace

bool Window::place(int in_h, int in_w, bool same) {
  return place_line(in_h, kernel_h, stride_h, dilation_h, same, &out_h, &pad_top) &&
         place_line(in_w, kernel_w, stride_w, dilation_w, same, &out_w, &pad_left);
}

bool read_option(Partition& p, const Op& op, const TfLiteNode& node, const char* key, int low,
                 int high, const int* fallback, int* value) {
  const size_t length = std::max(node.custom_initial_data_size, 0);
  switch (flex_lookup(node.custom_initial_data, length, key, value)) {
    case FlexResult::kMalformed:
      return p.fail(op, "its custom options are not a readable FlexBuffer map");
    case FlexResult::kNotInteger:
      return p.fail(op, "option %s is not an integer of 32 bits", key);
    case FlexResult::kAbsent:
      if (fallback == nullptr) return p.fail(op, "option %s is missing", key);
      *value = *fallback;
      return true;
    case FlexResult::kFound:
      break;
  }
  if (*value < low || *value > high) {
    return p.fail(op, "option %s is %d, not within %d and %d", key, *value, low, high);
  }
  return true;
}

}  // namespace onebit
