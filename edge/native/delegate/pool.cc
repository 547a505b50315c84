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

// A worker joins a round by `active_` and leaves at once if it is closed; `run` closes it and waits
// for those that joined. Either the worker sees the round closed or `run` sees the worker, as all
// of this is sequentially consistent. So nobody waits for a worker that is still asleep.
void Pool::serve() {
  for (uint32_t seen = 0;;) {
    wait_for_change(&round_, seen);
    seen = __atomic_load_n(&round_, __ATOMIC_ACQUIRE);
    if (stopping_) return;
    __atomic_fetch_add(&active_, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&closed_, __ATOMIC_SEQ_CST)) take_parts();
    if (__atomic_sub_fetch(&active_, 1, __ATOMIC_SEQ_CST) == 0) wake_all(&active_);
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
  __atomic_store_n(&closed_, 0, __ATOMIC_SEQ_CST);
  __atomic_fetch_add(&round_, 1, __ATOMIC_SEQ_CST);
  wake_all(&round_);
  take_parts();
  __atomic_store_n(&closed_, 1, __ATOMIC_SEQ_CST);
  for (;;) {
    const uint32_t active = __atomic_load_n(&active_, __ATOMIC_SEQ_CST);
    if (active == 0) return;
    wait_for_change(&active_, active);
  }
}

}  // namespace onebit
