#include "delegate/pool.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <memory>

#include "check.h"

using onebit::Pool;

namespace {

std::atomic<int> threads_left = -1;  // that the system still starts; negative: all
std::atomic<int> started = 0;

}  // namespace

// The linker puts this in the place of pthread_create (see CMakeLists.txt).
// NOLINTBEGIN(bugprone-reserved-identifier)
extern "C" {
int __real_pthread_create(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
int __wrap_pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                          void* argument) {
  if (threads_left == 0) return 11;  // EAGAIN
  if (threads_left > 0) --threads_left;
  ++started;
  return __real_pthread_create(thread, attributes, run, argument);
}
}
// NOLINTEND(bugprone-reserved-identifier)

namespace {

constexpr int kMost = 4096;
int counts[kMost];

void count(void* context, int first, int last) {
  for (int i = first; i < last; ++i) ++static_cast<int*>(context)[i];
}

// Whether the pool runs each of `items` once.
bool runs_each_once(Pool& pool, int items) {
  for (int& c : counts) c = 0;
  pool.run(items, count, counts);
  for (int i = 0; i < kMost; ++i) {
    if (counts[i] != (i < items)) return false;
  }
  return true;
}

void test_each_item_runs_once_whatever_the_threads() {
  Pool pool;
  srand(1);  // NOLINT(bugprone-random-generator-seed): the same numbers in each run
  for (int round = 0; round < 40; ++round) {
    pool.resize(1 + rand() % 6);
    for (int i = 0; i < 200; ++i) {
      CHECK(runs_each_once(pool, rand() % 3 ? rand() % 64 : rand() % kMost));
      if (rand() % 50 == 0) usleep(300);  // until workers sleep
    }
  }
}

void test_refused_threads_are_not_asked_for_again() {
  Pool pool;
  threads_left = 2;
  started = 0;
  pool.resize(5);
  CHECK(pool.threads() == 3 && started == 2);
  CHECK(runs_each_once(pool, 1000));
  threads_left = -1;
  pool.resize(5);
  CHECK(pool.threads() == 3 && started == 2);
  pool.resize(2);
  CHECK(pool.threads() == 2);
}

void test_pool_has_a_largest_size() {
  Pool pool;
  pool.resize(1000);
  CHECK(pool.threads() == Pool::kMaxThreads);
  started = 0;
  pool.resize(1000);
  CHECK(started == 0);
  CHECK(runs_each_once(pool, kMost));
}

void test_forked_child_has_no_workers_until_it_starts_some() {
#if defined(__SANITIZE_THREAD__)
  return;  // ThreadSanitizer cannot follow threads of a forked child
#endif
  auto pool = std::make_unique<Pool>();
  pool->resize(3);
  CHECK(runs_each_once(*pool, 500));
  const pid_t child = fork();
  if (child == 0) {
    pool->enter_process();
    bool right = pool->threads() == 1 && runs_each_once(*pool, 500);
    pool->resize(3);
    right &= pool->threads() == 3 && runs_each_once(*pool, 500);
    pool.reset();
    _exit(right ? 0 : 1);
  }
  int status = -1;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  pool->enter_process();
  CHECK(pool->threads() == 3 && runs_each_once(*pool, 500));
}

}  // namespace

void test_pool() {
  test_each_item_runs_once_whatever_the_threads();
  test_refused_threads_are_not_asked_for_again();
  test_pool_has_a_largest_size();
  test_forked_child_has_no_workers_until_it_starts_some();
}
