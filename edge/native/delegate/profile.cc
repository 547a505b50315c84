// The profile: one JSON document that lists which nodes ran here, for how long, and which did not.
#include <stdio.h>

#include <algorithm>

#include "graph.h"

namespace onebit {
namespace {

bool is_plain(char c) { return c >= ' ' && c < 127 && c != '"' && c != '\\'; }

// The entries of a list; each ends with a comma and a line end, which the last one's leaves out.
void write_list(FILE* file, const char* name, const Text& entries) {
  fprintf(file, "\"%s\": [\n%.*s\n],\n", name, std::max(entries.size() - 2, 0),
          entries.size() > 0 ? entries.data() : "");
}

}  // namespace

void append_profile(const Partition& partition, Delegate* delegate) {
  delegate->arena_bytes += partition.arena.size();
  for (const int index : partition.order) {
    const Op& op = partition.ops[index];
    if (op.type->constant_bytes) delegate->constant_bytes += op.type->constant_bytes(op);
    char merged[160] = "", line[512];
    for (size_t i = 0, length = 0; op.merged[i] && length < sizeof merged; ++i) {
      length += snprintf(merged + length, sizeof merged - length, "%s\"%s\"", i ? ", " : "",
                         op.merged[i]);
    }
    snprintf(line, sizeof line,
             "{\"node\": %d, \"op\": \"%s\", \"merged\": [%s], \"kernel\": \"%s\", "
             "\"macs\": %lld, \"calls\": %llu, \"time_ns\": %llu},\n",
             op.node, op.type->name, merged, op.kernel, static_cast<long long>(op.macs),
             static_cast<unsigned long long>(op.calls),
             static_cast<unsigned long long>(op.time_ns));
    delegate->profile.append(line);
  }
}

void append_undelegated_node(const char* name, int node, Text* json) {
  char plain[128];
  size_t length = 0;
  for (; name[length] && length + 1 < sizeof plain; ++length) {
    plain[length] = is_plain(name[length]) ? name[length] : '?';
  }
  plain[length] = 0;
  char line[192];
  snprintf(line, sizeof line, "{\"node\": %d, \"op\": \"%s\"},\n", node, plain);
  // An interpreter that undoes its delegates and applies them again lists the same nodes.
  if (!json->contains(line)) json->append(line);
}

bool write_profile(const Delegate& delegate) {
  if (!delegate.profile.complete() || !delegate.undelegated.complete()) return false;
  FILE* file = fopen(delegate.options.profile, "w");
  if (file == nullptr) return false;
  fprintf(file, "{\"schema_version\": 1,\n");
  write_list(file, "delegated", delegate.profile);
  write_list(file, "not_delegated", delegate.undelegated);
  fprintf(file, "\"memory\": {\"arena_bytes\": %llu, \"constant_bytes\": %llu}}\n",
          static_cast<unsigned long long>(delegate.arena_bytes),
          static_cast<unsigned long long>(delegate.constant_bytes));
  return fclose(file) == 0;
}

}  // namespace onebit
