// The layout is that of https://flatbuffers.dev/flexbuffers: values precede what refers to them,
// the root comes last, offsets count backwards. A map is a vector of values, preceded by the offset
// and the element width of its vector of keys, and followed by a type byte per value.
#include "flexbuffer.h"

#include <string.h>

namespace onebit {
namespace {

enum { kInt = 1, kUint = 2, kIndirectInt = 6, kIndirectUint = 7, kMap = 9, kBool = 26 };

struct Reader {
  const uint8_t* bytes;
  size_t length;

  bool read(size_t at, size_t width, uint64_t* value) const {
    if (width > length || at > length - width) return false;
    *value = 0;
    memcpy(value, bytes + at, width);  // little endian, as the hosts that this library is built for
    return true;
  }

  bool read_signed(size_t at, size_t width, int64_t* value) const {
    uint64_t raw;
    if (!read(at, width, &raw)) return false;
    const size_t shift = 64 - 8 * width;
    *value = static_cast<int64_t>(raw << shift) >> shift;
    return true;
  }

  // Follows the offset stored at `at`, which points backwards.
  bool follow(size_t at, size_t width, size_t* target) const {
    uint64_t offset;
    if (!read(at, width, &offset) || offset > at) return false;
    *target = at - static_cast<size_t>(offset);
    return true;
  }

  // Whether the zero-terminated string at `at` equals `key`; false when it runs out of bounds.
  bool equals(size_t at, const char* key) const {
    const size_t size = strlen(key) + 1;
    return at <= length && size <= length - at && memcmp(bytes + at, key, size) == 0;
  }
};

bool valid_width(uint64_t width) { return width == 1 || width == 2 || width == 4 || width == 8; }

FlexResult read_value(const Reader& reader, size_t at, size_t width, uint8_t packed_type,
                      int32_t* value) {
  const int type = packed_type >> 2;
  if (type == kIndirectInt || type == kIndirectUint) {
    if (!reader.follow(at, width, &at)) return FlexResult::kMalformed;
    width = size_t{1} << (packed_type & 3);
  } else if (type != kInt && type != kUint && type != kBool) {
    return FlexResult::kNotInteger;
  }
  int64_t wide;
  const bool is_signed = type == kInt || type == kIndirectInt;
  uint64_t raw = 0;
  if (is_signed ? !reader.read_signed(at, width, &wide) : !reader.read(at, width, &raw)) {
    return FlexResult::kMalformed;
  }
  if (!is_signed) wide = raw > INT32_MAX ? INT64_MAX : static_cast<int64_t>(raw);
  if (wide < INT32_MIN || wide > INT32_MAX) return FlexResult::kNotInteger;
  *value = static_cast<int32_t>(wide);
  return FlexResult::kFound;
}

}  // namespace

FlexResult flex_lookup(const void* buffer, size_t length, const char* key, int32_t* value) {
  const Reader reader = {static_cast<const uint8_t*>(buffer), length};
  if (buffer == nullptr || length < 3) return FlexResult::kMalformed;
  const size_t root_width = reader.bytes[length - 1];
  const uint8_t root_type = reader.bytes[length - 2];
  if (!valid_width(root_width) || length < 2 + root_width || root_type >> 2 != kMap) {
    return FlexResult::kMalformed;
  }
  const size_t width = size_t{1} << (root_type & 3);
  size_t values, keys;
  uint64_t count, key_width, key_count;
  if (!reader.follow(length - 2 - root_width, root_width, &values) || values < 3 * width ||
      !reader.read(values - width, width, &count) ||
      !reader.read(values - 2 * width, width, &key_width) || !valid_width(key_width) ||
      !reader.follow(values - 3 * width, width, &keys) || keys < key_width ||
      !reader.read(keys - key_width, static_cast<size_t>(key_width), &key_count) ||
      key_count != count || count > length / width || values > length - count * width ||
      count > length - values - count * width) {
    return FlexResult::kMalformed;
  }
  for (size_t i = 0; i < count; ++i) {
    size_t name;
    if (!reader.follow(keys + i * key_width, static_cast<size_t>(key_width), &name)) {
      return FlexResult::kMalformed;
    }
    if (!reader.equals(name, key)) continue;
    const uint8_t type = reader.bytes[values + count * width + i];
    return read_value(reader, values + i * width, width, type, value);
  }
  return FlexResult::kAbsent;
}

}  // namespace onebit
