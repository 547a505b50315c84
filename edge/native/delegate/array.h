// A growing array of plain data. The library depends on libc alone, so the standard containers,
// whose code lives in libstdc++, are out.
#pragma once

#include <stdlib.h>
#include <string.h>

namespace onebit {

// Elements are moved with memcpy and never destroyed. A failed allocation ends the process, as a
// failed `new` without exceptions would.
template <class T>
class Array {
 public:
  Array() = default;
  Array(const Array&) = delete;
  Array& operator=(const Array&) = delete;
  ~Array() { free(data_); }

  int size() const { return size_; }
  T* data() { return data_; }
  T& operator[](int i) { return data_[i]; }
  const T& operator[](int i) const { return data_[i]; }
  T* begin() { return data_; }
  T* end() { return data_ + size_; }
  const T* begin() const { return data_; }
  const T* end() const { return data_ + size_; }

  void resize(int size) {
    if (size > capacity_) {
      capacity_ = size > 2 * capacity_ ? size : 2 * capacity_;
      data_ = static_cast<T*>(realloc(static_cast<void*>(data_), capacity_ * sizeof(T)));
      if (data_ == nullptr) abort();
    }
    if (size > size_) memset(static_cast<void*>(data_ + size_), 0, (size - size_) * sizeof(T));
    size_ = size;
  }
  void push(const T& value) {
    resize(size_ + 1);
    data_[size_ - 1] = value;
  }
  bool contains(const T& value) const {
    for (const T& element : *this) {
      if (element == value) return true;
    }
    return false;
  }

 private:
  T* data_ = nullptr;
  int size_ = 0, capacity_ = 0;
};

// A block of memory aligned to a cache line, which is also the widest vector.
class Buffer {
 public:
  Buffer() = default;
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { free(data_); }

  // Makes room for `size` bytes; the content is lost. False when there is not so much memory.
  bool reserve(size_t size) {
    if (size <= size_) return true;
    free(data_);
    data_ = nullptr;
    size_ = 0;
    if (posix_memalign(&data_, 64, size) != 0) {
      data_ = nullptr;
      return false;
    }
    size_ = size;
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

}  // namespace onebit
