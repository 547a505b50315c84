#include "pool.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>

namespace onebit {
namespace {

// Loops follow each other within microseconds while a model runs: a waiting thread looks this often
// before it sleeps in the kernel, which takes tens of microseconds to wake it.
constexpr int kSpins = 4000;

// The AMX kernel needs 126 KB of stack, where musl gives a thread 128 KB; sanitizers need more.
constexpr size_t kStackBytes = size_t{1} << 20;

void pause_briefly() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__) || defined(__arm__)
  __asm__ volatile("yield");
#endif
}

}  // namespace

// Returns once `*word` differs from `value`.
void Pool::wait_for_change(uint32_t* word, uint32_t value) {
  for (int i = 0; i < kSpins; ++i) {
    if (__atomic_load_n(word, __ATOMIC_ACQUIRE) != value) return;
    pause_briefly();
  }
  // Either the kernel sees the new word, or the thread that changes it sees the sleeper.
  __atomic_fetch_add(&sleeping_, 1, __ATOMIC_SEQ_CST);
  while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == value) {
    syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
  }
  __atomic_fetch_sub(&sleeping_, 1, __ATOMIC_SEQ_CST);
}

void Pool::wake_all(uint32_t* word) {
  if (__atomic_load_n(&sleeping_, __ATOMIC_SEQ_CST) == 0) return;
  syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT32_MAX, nullptr, nullptr, 0);
}

// A thread that is woken in a virtual machine is not put behind the one that wakes it. The
// scheduler would avoid that itself, but takes a halted virtual CPU for one that its host
// preempted, and then lets both threads take turns on one CPU until the load is balanced, some
// milliseconds later. A worker takes back its CPUs as soon as it runs.
void Pool::keep_off_this_cpu() {
  const int cpu = sched_getcpu();
  if (cpu < 0 || cpu >= CPU_SETSIZE) return;
  for (int i = 0; i < started_; ++i) {
    Worker& worker = workers_[i];
    const pid_t id = __atomic_load_n(&worker.id, __ATOMIC_ACQUIRE);
    if (id == 0 || __atomic_load_n(&worker.moved, __ATOMIC_ACQUIRE)) continue;
    cpu_set_t& allowed = worker.allowed;
    if (sched_getaffinity(id, sizeof allowed, &allowed) != 0) continue;
    if (!CPU_ISSET(cpu, &allowed) || CPU_COUNT(&allowed) == 1) continue;
    __atomic_store_n(&worker.moved, 1, __ATOMIC_RELEASE);
    cpu_set_t others = allowed;
    CPU_CLR(cpu, &others);
    sched_setaffinity(id, sizeof others, &others);
  }
}

void Pool::resize(int threads) {
  enter_process();
  const int workers = std::min(threads - 1, kMaxWorkers);
  if (workers == wanted_ || workers < 0) return;
  stop();
  wanted_ = workers;
  process_ = getpid();
  while (started_ < workers && start(&workers_[started_], started_ + 1)) ++started_;
}

bool Pool::start(Worker* worker, int index) {
  worker->pool = this;
  worker->index = index;
  worker->id = 0;
  worker->moved = 0;
  pthread_attr_t attributes;
  if (pthread_attr_init(&attributes) != 0) return false;
  const bool started = pthread_attr_setstacksize(&attributes, kStackBytes) == 0 &&
                       pthread_create(&worker->thread, &attributes, enter, worker) == 0;
  pthread_attr_destroy(&attributes);
  return started;
}

void Pool::enter_process() {
  if (wanted_ == 0 || process_ == getpid()) return;
  wanted_ = started_ = 0;
  stopping_ = round_ = active_ = sleeping_ = 0;
  closed_ = 1;
}

void Pool::stop() {
  enter_process();
  __atomic_store_n(&stopping_, 1, __ATOMIC_RELEASE);
  __atomic_fetch_add(&round_, 1, __ATOMIC_SEQ_CST);
  wake_all(&round_);
  for (; started_ > 0; --started_) pthread_join(workers_[started_ - 1].thread, nullptr);
  wanted_ = 0;
  stopping_ = round_ = 0;
}

void* Pool::enter(void* argument) {
  Worker& worker = *static_cast<Worker*>(argument);
  __atomic_store_n(&worker.id, static_cast<pid_t>(syscall(SYS_gettid)), __ATOMIC_RELEASE);
  worker.pool->serve(worker);
  return nullptr;
}

// A worker joins a round by `active_` and leaves at once if it is closed; `run` closes it and waits
// for those that joined. Either the worker sees the round closed or `run` sees the worker, as all
// of this is sequentially consistent. So a worker that is still asleep keeps no one waiting.
void Pool::serve(Worker& self) {
  for (uint32_t seen = 0;;) {
    wait_for_change(&round_, seen);
    if (__atomic_load_n(&self.moved, __ATOMIC_ACQUIRE)) {
      sched_setaffinity(0, sizeof self.allowed, &self.allowed);
      __atomic_store_n(&self.moved, 0, __ATOMIC_RELEASE);
    }
    seen = __atomic_load_n(&round_, __ATOMIC_ACQUIRE);
    if (__atomic_load_n(&stopping_, __ATOMIC_ACQUIRE)) return;
    __atomic_fetch_add(&active_, 1, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&closed_, __ATOMIC_SEQ_CST)) take_parts(self.index);
    if (__atomic_sub_fetch(&active_, 1, __ATOMIC_SEQ_CST) == 0) wake_all(&active_);
  }
}

// A thread takes three quarters of what it owns at a time, then helps those that are behind: one
// that the system interrupts leaves its rest to the others.
void Pool::take_parts(int index) {
  for (int i = 0; i < threads(); ++i) {
    Share& share = shares_[(index + i) % threads()];
    uint32_t next = __atomic_load_n(&share.next, __ATOMIC_RELAXED);
    while (next < share.end) {
      const uint32_t end = share.end - (share.end - next) / 4;
      if (!__atomic_compare_exchange_n(&share.next, &next, end, false, __ATOMIC_RELAXED,
                                       __ATOMIC_RELAXED)) {
        continue;
      }
      work_(context_, static_cast<int>(next), static_cast<int>(end));
      next = __atomic_load_n(&share.next, __ATOMIC_RELAXED);
    }
  }
}

void Pool::run(int count, Work work, void* context) {
  if (started_ == 0 || count < 2) {
    if (count > 0) work(context, 0, count);
    return;
  }
  work_ = work;
  context_ = context;
  // Neighbouring items belong to one thread, and to the same one in each loop: what a layer writes
  // is mostly read by the thread that wrote it.
  for (int i = 0; i < threads(); ++i) {
    const int64_t all = count;
    __atomic_store_n(&shares_[i].next, static_cast<uint32_t>(all * i / threads()),
                     __ATOMIC_RELAXED);
    shares_[i].end = static_cast<uint32_t>(all * (i + 1) / threads());
  }
  __atomic_store_n(&closed_, 0, __ATOMIC_SEQ_CST);
  // Before the round begins, so that a worker that sees the round also sees that it was moved.
  if (virtual_machine_ && __atomic_load_n(&sleeping_, __ATOMIC_SEQ_CST)) keep_off_this_cpu();
  __atomic_fetch_add(&round_, 1, __ATOMIC_SEQ_CST);
  wake_all(&round_);
  take_parts(0);
  __atomic_store_n(&closed_, 1, __ATOMIC_SEQ_CST);
  for (;;) {
    const uint32_t active = __atomic_load_n(&active_, __ATOMIC_SEQ_CST);
    if (active == 0) return;
    wait_for_change(&active_, active);
  }
}

}  // namespace onebit
