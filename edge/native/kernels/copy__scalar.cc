#include <string.h>

#include "copy.h"
#include "variants.h"

namespace b1 {
namespace {

void run(const CopyCall& call, int first, int last) {
  for (size_t row = first; row < static_cast<size_t>(last); ++row) {
    memcpy(call.to + row * call.to_stride, call.from + row * call.from_stride,
           call.channels * sizeof(float));
  }
}

}  // namespace

const CopyKernel kCopyScalar = {kCopyScalarInfo, run};

}  // namespace b1
