// A small pool of threads that share loops.
#pragma once

#include <pthread.h>
#include <stdint.h>

namespace onebit {

// Runs `work(context, first, last)` over parts of [0, count).
typedef void (*Work)(void* context, int first, int last);

class Pool {
 public:
  Pool() = default;
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;
  ~Pool() { stop(); }

  // Makes the pool `threads` strong, the caller included. Threads that the system refuses are
  // missed, not fatal.
  void resize(int threads);
  int threads() const { return started_ + 1; }

  // Returns when all of [0, count) is done. One caller at a time.
  void run(int count, Work work, void* context);

 private:
  static constexpr int kMaxWorkers = 63;

  static void* enter(void* pool);
  void serve();
  void take_parts();
  void stop();

  pthread_t workers_[kMaxWorkers];
  int started_ = 0;
  Work work_ = nullptr;
  void* context_ = nullptr;
  int count_ = 0, part_ = 1;
  int next_ = 0;         // first item that nobody has taken; atomic
  uint32_t round_ = 0;   // grows with each loop; workers wait on it; atomic
  uint32_t closed_ = 1;  // no more workers may join the round; atomic
  uint32_t active_ = 0;  // workers that joined, or are about to see that it is closed; atomic
  bool stopping_ = false;
};

}  // namespace onebit
