// Memory, and the one policy for requests that the system refuses: `allocate` and all that is built
// on it report the failure, and the caller passes it on with a message. Nothing aborts.
//
// The library depends on libc only, so the standard containers, whose code lives in libstdc++, are
// out; header-only parts of the standard library are used.
#pragma once

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <algorithm>
#include <new>
#include <utility>

namespace onebit {

constexpr size_t kCacheLine = 64;  // also the widest vector
// Of one allocation: positions within it fit ptrdiff_t, also on 32-bit machines.
constexpr uint64_t kMaxBytes = sizeof(size_t) == 4 ? uint64_t{1} << 30 : uint64_t{1} << 46;

#if defined(ONEBIT_UNIT_TEST)
// Allocations that still succeed; negative: all of them. A test sets it.
extern int allocations_left;
#endif

// Memory for `free`, aligned to a cache line, with undefined content; nullptr when it is refused.
inline void* allocate(uint64_t bytes) {
#if defined(ONEBIT_UNIT_TEST)
  if (allocations_left == 0) return nullptr;
  if (allocations_left > 0) --allocations_left;
#endif
  if (bytes > kMaxBytes) return nullptr;
  void* memory = nullptr;
  const size_t size = static_cast<size_t>(std::max<uint64_t>(bytes, 1));
  return posix_memalign(&memory, kCacheLine, size) == 0 ? memory : nullptr;
}

// A growing array. Growing moves the elements.
template <class T>
class Array {
 public:
  Array() = default;
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() {
    truncate(0);
    free(data_);
  }

  int size() const { return size_; }
  T& operator[](int i) { return data_[i]; }
  const T& operator[](int i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

  // Makes room for `capacity` elements in all. False when memory is refused.
  [[nodiscard]] bool reserve(int capacity) {
    if (capacity <= capacity_) return true;
    T* moved = static_cast<T*>(allocate(static_cast<uint64_t>(capacity) * sizeof(T)));
    if (moved == nullptr) return false;
    for (int i = 0; i < size_; ++i) {
      new (moved + i) T(std::move(data_[i]));
      data_[i].~T();
    }
    free(data_);
    data_ = moved;
    capacity_ = capacity;
    return true;
  }
  // Appends an element. False when memory is refused.
  [[nodiscard]] bool push(T value) {
    constexpr int kFirst = 8, kMost = INT32_MAX / 2;
    if (size_ == capacity_) {
      if (capacity_ > kMost || !reserve(std::max(kFirst, 2 * capacity_))) return false;
    }
    new (data_ + size_++) T(std::move(value));
    return true;
  }
  void truncate(int size) {
    while (size_ > size) data_[--size_].~T();
  }
  void remove(int at) {
    for (int i = at; i + 1 < size_; ++i) data_[i] = std::move(data_[i + 1]);
    truncate(size_ - 1);
  }

 private:
  T* data_ = nullptr;
  int size_ = 0, capacity_ = 0;
};

// A block of memory of plain data.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { free(data_); }

  // Makes room for `count` elements of `size` bytes; the content is lost. False when memory is
  // refused.
  [[nodiscard]] bool reserve(uint64_t count, size_t size) {
    if (count > kMaxBytes / size) return false;
    const uint64_t bytes = count * size;
    if (bytes <= size_) return true;
    free(data_);
    size_ = 0;
    data_ = allocate(bytes);
    if (data_ == nullptr) return false;
    size_ = static_cast<size_t>(bytes);
    return true;
  }
  template <class T>
  T* as() const {
    return static_cast<T*>(data_);
  }
  size_t size() const { return size_; }

 private:
  void* data_ = nullptr;
  size_t size_ = 0;
};

// Text that grows. After a refused allocation it stays incomplete, and says so.
class Text {
 public:
  void append(const char* text) {
    for (; *text != 0 && complete_; ++text) complete_ = characters_.push(*text);
  }
  bool complete() const { return complete_; }
  int size() const { return characters_.size(); }
  const char* data() const { return characters_.begin(); }
  // Whether `text` occurs in it.
  bool contains(const char* text) const {
    return size() > 0 && memmem(data(), size(), text, strlen(text)) != nullptr;
  }

 private:
  Array<char> characters_;
  bool complete_ = true;
};

}  // namespace onebit
