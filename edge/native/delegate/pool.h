// A small pool of threads that share loops.
#pragma once

#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <sys/types.h>

#include "cpu.h"

namespace onebit {

// Runs `work(context, first, last)` over parts of [0, count).
typedef void (*Work)(void* context, int first, int last);

class Pool {
 public:
  static constexpr int kMaxThreads = 64;

  Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() { stop(); }

  // Makes the pool `threads` strong, the caller included, at most kMaxThreads. If the system
  // refuses a thread, the pool is smaller.
  void resize(int threads);
  int threads() const { return started_ + 1; }

  // To be called before `run` where the process may be another: a forked child has no workers, and
  // its copy of the pool becomes one of the caller only, until it is resized.
  void enter_process();

  // Returns when all of [0, count) is done. One caller at a time.
  void run(int count, Work work, void* context);

 private:
  static constexpr int kMaxWorkers = kMaxThreads - 1;

  // The items that a thread owns: those from `next` on are not taken yet. On a separate cache line,
  // as the owner writes it all the time.
  struct alignas(64) Share {
    uint32_t next, end;
  };

  struct Worker {
    Pool* pool;
    int index;
    pthread_t thread;
    pid_t id;        // as the kernel names it; 0 until it runs; atomic
    uint32_t moved;  // whether it must take back the CPUs of `allowed`; atomic
    cpu_set_t allowed;
  };

  static void* enter(void* worker);
  bool start(Worker* worker, int index);
  void serve(Worker& self);
  void take_parts(int index);
  void stop();
  void keep_off_this_cpu();
  void wait_for_change(uint32_t* word, uint32_t value);
  void wake_all(uint32_t* word);

  Worker workers_[kMaxWorkers];
  Share shares_[kMaxWorkers + 1];
  int wanted_ = 0, started_ = 0;  // workers
  pid_t process_ = 0;             // that the workers belong to
  const bool virtual_machine_ = in_virtual_machine();
  Work work_ = nullptr;
  void* context_ = nullptr;
  uint32_t stopping_ = 0;           // atomic
  alignas(64) uint32_t round_ = 0;  // grows with each loop; workers wait on it; atomic
  uint32_t closed_ = 1;             // no more workers may join the round; atomic
  // Workers that joined, or are about to see that it is closed; atomic.
  alignas(64) uint32_t active_ = 0;
  uint32_t sleeping_ = 0;  // threads that wait in the kernel, or are about to; atomic
};

}  // namespace onebit
