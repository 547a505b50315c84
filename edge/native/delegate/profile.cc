// The profile: one JSON document that tells which nodes ran here, for how long, and which did not.
#include <stdio.h>

#include "graph.h"
#include "op_bconv.h"
#include "op_elementwise.h"
#include "op_maxpool.h"
#include "op_weight_only.h"

namespace onebit {
namespace {

void append(Array<char>* text, const char* piece) {
  const int size = text->size(), length = static_cast<int>(strlen(piece));
  text->resize(size + length);
  memcpy(text->data() + size, piece, length);
}

bool is_plain(char c) { return c >= ' ' && c < 127 && c != '"' && c != '\\'; }

// What an operator holds beside its values: packed weights, and constants for each channel.
size_t constant_bytes(const Op& op) {
  if (op.state == nullptr) return 0;
  if (op.type == &kBconv) {
    const BconvState& s = *static_cast<const BconvState*>(op.state);
    return s.filter.size() + s.channel_data.size() + s.correction_table.size() + s.classes.size();
  }
  if (op.type == &kAdd || op.type == &kMul) {
    return static_cast<const ElementwiseState*>(op.state)->constants.size();
  }
  if (op.type == &kMaxPool) return static_cast<const MaxPoolState*>(op.state)->constants.size();
  if (op.type == &kWeightOnlyDense || op.type == &kWeightOnlyConv ||
      op.type == &kWeightOnlyDepthwise) {
    const WeightOnlyState& s = *static_cast<const WeightOnlyState*>(op.state);
    return s.filter.size() + s.channel_data.size();
  }
  return 0;
}

}  // namespace

void append_profile(const Partition& partition, Delegate* delegate) {
  Array<char>* json = &delegate->profile;
  delegate->arena_bytes += partition.arena.size();
  for (const Op& op : partition.ops) delegate->constant_bytes += constant_bytes(op);
  for (const Op& op : partition.ops) {
    char merged[128] = "", line[512];
    for (size_t i = 0, length = 0; op.merged[i] && length < sizeof merged; ++i) {
      length += snprintf(merged + length, sizeof merged - length, "%s\"%s\"", i ? ", " : "",
                         op.merged[i]);
    }
    snprintf(line, sizeof line,
             "{\"node\": %d, \"op\": \"%s\", \"merged\": [%s], \"kernel\": \"%s\", "
             "\"macs\": %lld, \"calls\": %llu, \"time_ns\": %llu},\n",
             op.node, op.type->name, merged, op.kernel ? op.kernel : "",
             static_cast<long long>(op.macs), static_cast<unsigned long long>(op.calls),
             static_cast<unsigned long long>(op.time_ns));
    append(json, line);
  }
}

void append_foreign_node(const char* name, int node, Array<char>* json) {
  char plain[128];
  size_t length = 0;
  for (; name[length] && length + 1 < sizeof plain; ++length) {
    plain[length] = is_plain(name[length]) ? name[length] : '?';
  }
  plain[length] = 0;
  char line[192];
  snprintf(line, sizeof line, "{\"node\": %d, \"op\": \"%s\"},\n", node, plain);
  append(json, line);
}

bool write_profile(const Delegate& delegate) {
  FILE* file = fopen(delegate.options.profile, "w");
  if (file == nullptr) return false;
  // Each entry ends with a comma and a line end; the last one's comma is left out.
  const int nodes = delegate.profile.size(), others = delegate.foreign.size();
  fprintf(file, "{\"schema_version\": 1,\n\"delegated\": [\n%.*s\n],\n", nodes > 2 ? nodes - 2 : 0,
          nodes ? &delegate.profile[0] : "");
  fprintf(file, "\"not_delegated\": [\n%.*s\n],\n", others > 2 ? others - 2 : 0,
          others ? &delegate.foreign[0] : "");
  fprintf(file, "\"memory\": {\"arena_bytes\": %zu, \"constant_bytes\": %zu}}\n",
          delegate.arena_bytes, delegate.constant_bytes);
  return fclose(file) == 0;
}

}  // namespace onebit
