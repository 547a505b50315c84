#include "pool.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace onebit {
namespace {

// Loops follow each other within microseconds while a model runs: a waiting thread looks this often
// before it sleeps in the kernel, which takes tens of microseconds to wake it.
constexpr int kSpins = 4000;

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("yield");
#endif
}

// Returns once `*word` differs from `value`.
void wait_for_change(uint32_t* word, uint32_t value) {
  for (int i = 0; i < kSpins; ++i) {
    if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value) return;
    pause_briefly();
  }
  while (__atomic_load_n(word, __ATOMIC_ACQUIRE) == value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
  }
}

void wake_all(uint32_t* word) {
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
}

}  // namespace

void Pool::resize(int threads) {
  const int workers = threads - 1 < kMaxWorkers ? threads - 1 : kMaxWorkers;
  if (workers == started_ || workers < 0) return;
  stop();
  stopping_ = false;
  while (started_ < workers && pthread_create(&workers_[started_], nullptr, enter, this) == 0) {
    ++started_;
  }
}

void Pool::stop() {
  stopping_ = true;
  __atomic_fetch_add(&round_, 1, __ATOMIC_RELEASE);
  wake_all(&round_);
  for (; started_ > 0; --started_) pthread_join(workers_[started_ - 1], nullptr);
  round_ = 0;
}

void* Pool::enter(void* pool) {
  static_cast<Pool*>(pool)->serve();
  return nullptr;
}

void Pool::serve() {
  for (uint32_t seen = 0;; ++seen) {
    wait_for_change(&round_, seen);
    if (stopping_) return;
    take_parts();
    if (__atomic_sub_fetch(&busy_, 1, __ATOMIC_ACQ_REL) == 0) wake_all(&busy_);
  }
}

void Pool::take_parts() {
  for (;;) {
    const int first = __atomic_fetch_add(&next_, part_, __ATOMIC_RELAXED);
    if (first >= count_) return;
    work_(context_, first, count_ - first < part_ ? count_ : first + part_);
  }
}

void Pool::run(int count, Work work, void* context) {
  if (started_ == 0 || count < 2) {
    if (count > 0) work(context, 0, count);
    return;
  }
  work_ = work;
  context_ = context;
  count_ = count;
  // Several parts a thread: one that the system interrupts leaves its rest to the others.
  part_ = count / (8 * threads()) > 0 ? count / (8 * threads()) : 1;
  __atomic_store_n(&next_, 0, __ATOMIC_RELAXED);
  __atomic_store_n(&busy_, static_cast<uint32_t>(started_), __ATOMIC_RELAXED);
  __atomic_fetch_add(&round_, 1, __ATOMIC_RELEASE);
  wake_all(&round_);
  take_parts();
  for (;;) {
    const uint32_t busy = __atomic_load_n(&busy_, __ATOMIC_ACQUIRE);
    if (busy == 0) return;
    wait_for_change(&busy_, busy);
  }
}

}  // namespace onebit
