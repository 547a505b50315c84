// Lists, as JSON, the instruction sets and kernels of the library on this machine.
#include <stdio.h>

#include <algorithm>

#include "../kernels/variants.h"
#include "memory.h"

namespace onebit {
namespace {

// The operation in a kernel's name: b1_<operation>_…
int operation_of(const char* name, const char** operation) {
  *operation = name + strlen("b1_");
  return static_cast<int>(strchr(*operation, '_') - *operation);
}

void append_features(Text* json) {
  json->append("{\"version\": \"" ONEBIT_VERSION "\", \"isas\": [");
  const char* separator = "";
  for (int i = 0; i < b1::kIsas; ++i) {
    if (!b1::cpu_has(static_cast<b1::Isa>(i))) continue;
    json->append(separator);
    json->append("\"");
    json->append(b1::isa_name(static_cast<b1::Isa>(i)));
    json->append("\"");
    separator = ", ";
  }
  json->append("], \"kernels\": [");
  int count;
  const b1::KernelInfo* const* kernels = b1::all_kernels(&count);
  separator = "\n";
  for (int i = 0; i < count; ++i) {
    const b1::KernelInfo& kernel = *kernels[i];
    const char* operation;
    const int length = operation_of(kernel.name, &operation);
    char row[256];
    snprintf(row, sizeof row,
             "%s{\"name\": \"%s\", \"op\": \"%.*s\", \"isa\": \"%s\", \"tile\": [%d, %d], "
             "\"usable\": %s}",
             separator, kernel.name, length, operation, b1::isa_name(kernel.isa), kernel.mr,
             kernel.nr, b1::cpu_has(kernel.isa) ? "true" : "false");
    json->append(row);
    separator = ",\n";
  }
  json->append("]}");
}

}  // namespace
}  // namespace onebit

// Writes up to `size` characters of the document to `buffer`. Returns the length of the whole, 0
// when memory is refused.
extern "C" __attribute__((visibility("default"))) size_t onebit_delegate_features(char* buffer,
                                                                                  size_t size) {
  onebit::Text json;
  onebit::append_features(&json);
  if (!json.complete()) return 0;
  const size_t length = static_cast<size_t>(json.size());
  if (buffer) memcpy(buffer, json.data(), std::min(size, length));
  return length;
}
