// The delegate: its options, and the state that interpreters share.
#pragma once

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include "../kernels/variants.h"
#include "memory.h"
#include "pool.h"
#include "tflite_abi.h"

namespace onebit {

struct Partition;
struct Selection;

struct Options {
  int num_threads = 0;  // 0: as the interpreter recommends
  // Forced: use this one only, and the scalar reference where it has no kernel.
  b1::IsaChoice isa = {false, b1::Isa::kScalar};
  char kernel[64] = "";    // use this variant where its precondition holds
  char profile[512] = "";  // write a profile to this file when the delegate is destroyed
  bool fuse = true;        // merge operators; off only to test and to measure
};

typedef void (*ErrorReporter)(const char*);

// Reads options as `load_delegate` passes them. Returns false after a call of `report`, which may
// be nullptr.
bool read_options(const char* const* keys, const char* const* values, size_t count,
                  Options* options, ErrorReporter report);

// A mutex that a forked child can lock, even if another thread of its parent held it: that thread,
// which would unlock it, is not in the child.
class Mutex {
 public:
  Mutex() = default;
  Mutex(const Mutex&) = delete;
  Mutex& operator=(const Mutex&) = delete;
  ~Mutex() {
    enter_process();
    pthread_mutex_destroy(&mutex_);
  }
  void lock() {
    enter_process();
    pthread_mutex_lock(&mutex_);
  }
  void unlock() { pthread_mutex_unlock(&mutex_); }

 private:
  // The first thread that comes after a fork renews the mutex, and others wait until it has.
  void enter_process() {
    const pid_t here = getpid();
    pid_t seen = __atomic_load_n(&process_, __ATOMIC_ACQUIRE);
    while (seen != here) {
      if (seen != -here && __atomic_compare_exchange_n(&process_, &seen, -here, false,
                                                       __ATOMIC_ACQUIRE, __ATOMIC_ACQUIRE)) {
        mutex_ = PTHREAD_MUTEX_INITIALIZER;
        __atomic_store_n(&process_, here, __ATOMIC_RELEASE);
      }
      seen = __atomic_load_n(&process_, __ATOMIC_ACQUIRE);
    }
  }

  pthread_mutex_t mutex_ = PTHREAD_MUTEX_INITIALIZER;
  pid_t process_ = getpid();  // that the mutex is of; negative while it is renewed
};

class Lock {
 public:
  explicit Lock(Mutex& mutex) : mutex_(mutex) { mutex_.lock(); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
  ~Lock() { mutex_.unlock(); }

 private:
  Mutex& mutex_;
};

// Interpreters may share a delegate, also in different threads.
struct Delegate {
  TfLiteDelegate interface = {};
  Options options;
  // Python's garbage collector may free a delegate before the interpreter that uses it: its
  // creator and each partition hold a reference, and the last one frees it.
  int references = 1;  // atomic

  // Set while an interpreter creates its partitions, which read it; others wait for `selecting`.
  Mutex selecting;
  const Selection* selection = nullptr;

  Mutex running;  // guards all below
  Pool pool;
  Text profile;      // JSON of freed partitions
  Text undelegated;  // JSON of nodes that were left to the interpreter
  // Memory of freed partitions: values between operators, and packed constants.
  uint64_t arena_bytes = 0, constant_bytes = 0;
};

// Creates the delegate with one reference; nullptr when memory is refused.
Delegate* create_delegate();
void ref(Delegate* delegate);
// Drops a reference; the last one writes the profile and frees the delegate.
void unref(Delegate* delegate);

// Adds the partition's operators and their times, as JSON objects that are each followed by a
// comma, and its memory to the delegate's profile.
void append_profile(const Partition& partition, Delegate* delegate);
// Adds a node that was left to the interpreter, unless it is listed already.
void append_undelegated_node(const char* name, int node, Text* json);
bool write_profile(const Delegate& delegate);

}  // namespace onebit
