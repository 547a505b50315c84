#include "plan.h"

#include <algorithm>

namespace onebit {
namespace {

void use(Partition& p, int value, int position) {
  if (value < 0) return;
  Value& v = p.values[value];
  v.first_use = std::min(v.first_use, position);
  v.last_use = std::max(v.last_use, position);
}

// Finds which values live in the arena, how large they are, and when.
void find_lifetimes(Partition& p) {
  for (Value& value : p.values) {
    if (value.tensor < 0) continue;  // scratch has its size
    value.bytes = static_cast<size_t>(std::max<int64_t>(elements(value), 0)) * size_of(value.type);
    value.external = true;
  }
  for (int i = 0; i < p.order.size(); ++i) {
    Op& op = p.ops[p.order[i]];
    for (const int output : op.outputs) {
      if (output >= 0) p.values[output].external = p.values[output].is_output;
      use(p, output, i);
    }
    for (const int input : op.inputs) use(p, input, i);
    use(p, op.scratch, i);
  }
}

int root_of(const Partition& p, int value) {
  while (p.values[value].alias_of >= 0) value = p.values[value].alias_of;
  return value;
}

// Whether a value may lie in parts of another's rows: all operators that touch it can cope.
bool may_lie_apart(const Partition& p, int value) {
  if (p.values[value].external || p.values[value].alias_of >= 0) return false;
  bool written = false;
  for (const int index : p.order) {
    const Op& op = p.ops[index];
    for (const int input : op.inputs) {
      if (input == value && !op.type->reads_rows) return false;
    }
    for (const int output : op.outputs) {
      if (output != value) continue;
      if (!op.type->writes_rows || op.outputs[0] != value) return false;
      written = true;
    }
  }
  return written;
}

// The inputs of a concatenation are computed in their place of its result, where that is possible:
// a dense block's features then lie in the memory of the block's result from its start.
void share_concatenations(Partition& p) {
  for (const int index : p.order) {
    const Op& op = p.ops[index];
    if (!op.type->gathers_inputs) continue;
    int channel = 0;
    for (const int input : op.inputs) {
      if (input < 0) continue;
      Value& value = p.values[input];
      if (may_lie_apart(p, input)) {
        value.alias_of = op.outputs[0];
        value.alias_channel = channel;
      }
      channel += channels(value);
    }
  }
  for (const Value& value : p.values) {
    for (int at = value.alias_of; at >= 0; at = p.values[at].alias_of) {
      Value& root = p.values[at];
      root.first_use = std::min(root.first_use, value.first_use);
      root.last_use = std::max(root.last_use, value.last_use);
    }
  }
}

// A merged ADD may write over its residual if nothing reads that later: each element is read just
// before it is written. It keeps a chain of residual blocks in half the cache. The chain that ends
// in an output of the partition is computed in that output's memory from its start.
void share_residuals(Partition& p) {
  for (int i = 0; i < p.order.size(); ++i) {
    const Op& op = p.ops[p.order[i]];
    if (!(op.type->merges & kTakesResidual)) continue;
    const int out = op.outputs[0], residual = op.inputs[Op::kResidual];
    if (out < 0 || residual < 0 || p.values[residual].external || p.values[out].alias_of >= 0) {
      continue;
    }
    const int root = root_of(p, residual);
    if (p.values[residual].last_use != i || p.values[residual].bytes != p.values[out].bytes ||
        p.values[root].external) {
      continue;
    }
    if (p.values[out].external) {
      p.values[root].alias_of = out;
      continue;
    }
    p.values[out].alias_of = root;
    p.values[root].last_use = std::max(p.values[root].last_use, p.values[out].last_use);
  }
}

void find_strides(Partition& p) {
  for (int i = 0; i < p.values.size(); ++i) {
    p.values[i].row_stride = channels(p.values[root_of(p, i)]);
  }
}

bool alive_together(const Value& a, const Value& b) {
  return a.first_use <= b.last_use && b.first_use <= a.last_use;
}

}  // namespace

int64_t plan_arena(Array<Value>* values) {
  Array<int> order, placed;  // the latter by offset
  for (int i = 0; i < values->size(); ++i) {
    const Value& value = (*values)[i];
    if (value.external || value.last_use < 0 || value.alias_of >= 0) continue;
    if (!order.push(i)) return -1;
  }
  if (!placed.reserve(order.size())) return -1;
  std::sort(order.begin(), order.end(), [&](int a, int b) {
    const size_t size_a = (*values)[a].bytes, size_b = (*values)[b].bytes;
    return size_a != size_b ? size_a > size_b : a < b;
  });
  uint64_t total = 0;
  for (const int index : order) {
    Value& value = (*values)[index];
    value.bytes = (value.bytes + kCacheLine - 1) / kCacheLine * kCacheLine;
    uint64_t offset = 0;
    for (const int other : placed) {
      const Value& earlier = (*values)[other];
      if (!alive_together(value, earlier)) continue;
      if (offset + value.bytes <= earlier.offset) break;  // it fits before this one
      offset = std::max<uint64_t>(offset, static_cast<uint64_t>(earlier.offset) + earlier.bytes);
    }
    total = std::max(total, offset + value.bytes);
    if (total > kMaxBytes) return -1;
    value.offset = static_cast<size_t>(offset);
    const auto place = std::upper_bound(placed.begin(), placed.end(), index, [&](int a, int b) {
      return (*values)[a].offset < (*values)[b].offset;
    });
    const int at = static_cast<int>(place - placed.begin());
    if (!placed.push(index)) return -1;
    std::rotate(placed.begin() + at, placed.end() - 1, placed.end());
  }
  return static_cast<int64_t>(total);
}

int64_t plan_memory(Partition& p) {
  find_lifetimes(p);
  share_concatenations(p);
  share_residuals(p);
  find_strides(p);
  return plan_arena(&p.values);
}

}  // namespace onebit
