/* Fork and join for parallel loops: what __TVMBackendParallelLaunch points to, which the kernels call.
 *
 * Part of tvmopt; compiled into artifacts of more than one thread. THREADS - 1 workers start with the first
 * parallel loop, watch for work for a while (SPINS) after each one, then sleep until there is more. A loop has more
 * tasks than there are threads (tasks.py). Each thread has a share of them, neighbours, so that it mostly reads what
 * it wrote; it claims them one by one, then those that others have left, so that nobody waits for a thread that is
 * slow or not running, unless it was interrupted within a task. There is one set of workers: a call of the model that
 * finds them busy with another call does its loops by itself, so calls may come from any number of threads. A forked
 * child starts workers of its own.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

enum { SPINS = 20000 /* half a millisecond on Zen 5 */ };

typedef struct {
  void *barrier; /* unused */
  int32_t tasks;
} group;
typedef int (*task)(int id, group *group, void *closure);

static struct {
  task run;
  void *closure;
  group all;
} job; /* valid from when shares announce it until all its tasks are done */
static struct {
  _Alignas(64) _Atomic uint64_t state; /* number of the job << 32 | its end << 16 | next task that nobody claimed */
} shares[THREADS];                     /* of each thread; the caller's is the first */
static _Alignas(64) atomic_int done;   /* tasks of the job */
static _Alignas(64) atomic_int sleeping; /* workers that must be woken */
static atomic_flag busy = ATOMIC_FLAG_INIT;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t more = PTHREAD_COND_INITIALIZER;
static pthread_t threads[THREADS - 1];
static int workers = -1; /* running; -1: not started. Guarded by busy. */
static atomic_int stopping;

static void breathe(void) {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

static unsigned current(int me) {
  return (unsigned)(atomic_load_explicit(&shares[me].state, memory_order_acquire) >> 32);
}

static int left(uint64_t state) { return (uint16_t)state < (uint16_t)(state >> 16); }

/* The next task of a share, -1 if there is none. The state tells both, so that a latecomer's are of one job. */
static int claim(int share) {
  if (!left(atomic_load_explicit(&shares[share].state, memory_order_relaxed))) return -1;
  uint64_t state = atomic_fetch_add_explicit(&shares[share].state, 1, memory_order_acq_rel);
  return left(state) ? (uint16_t)state : -1;
}

/* Do tasks until all are claimed, first those of the thread's own share. */
static void help(int me) {
  for (int i = 0; i < THREADS; ++i) {
    int count = 0;
    for (int id; (id = claim((me + i) % THREADS)) >= 0; ++count) job.run(id, &job.all, job.closure);
    if (count) atomic_fetch_add_explicit(&done, count, memory_order_release);
  }
}

static void await_more(int me, unsigned seen) {
  for (int i = 0; i < SPINS; ++i) {
    if (current(me) != seen) return;
    breathe();
  }
  pthread_mutex_lock(&mutex);
  atomic_fetch_add(&sleeping, 1); /* before it looks at its share, which announce() sets before it looks here */
  atomic_thread_fence(memory_order_seq_cst);
  while (current(me) == seen) pthread_cond_wait(&more, &mutex);
  atomic_fetch_sub(&sleeping, 1);
  pthread_mutex_unlock(&mutex);
}

static void announce(unsigned tasks) {
  uint64_t number = current(0) + 1U;
  for (unsigned i = 0; i < THREADS; ++i) {
    uint64_t begin = i * tasks / THREADS, end = (i + 1) * tasks / THREADS;
    atomic_store_explicit(&shares[i].state, number << 32 | end << 16 | begin, memory_order_release);
  }
  atomic_thread_fence(memory_order_seq_cst);
  if (atomic_load(&sleeping)) {
    pthread_mutex_lock(&mutex);
    pthread_cond_broadcast(&more);
    pthread_mutex_unlock(&mutex);
  }
}

static void *work(void *number) {
  int me = (int)(intptr_t)number;
  for (unsigned seen = 0;;) {
    await_more(me, seen);
    if (atomic_load(&stopping)) return 0;
    seen = current(me);
    help(me);
  }
}

static void after_fork(void) {
  static const pthread_mutex_t fresh_mutex = PTHREAD_MUTEX_INITIALIZER;
  static const pthread_cond_t fresh_cond = PTHREAD_COND_INITIALIZER;
  mutex = fresh_mutex;
  more = fresh_cond;
  workers = -1;
  atomic_store(&sleeping, 0);
  atomic_flag_clear(&busy);
}

static void start(void) {
  static int registered;
  if (!registered) registered = !pthread_atfork(0, 0, after_fork);
  for (int i = 0; i < THREADS; ++i) atomic_store(&shares[i].state, 0); /* no job yet */
  for (workers = 0; workers < THREADS - 1; ++workers) {
    if (pthread_create(&threads[workers], 0, work, (void *)(intptr_t)(workers + 1))) return;
  }
}

__attribute__((destructor)) static void stop(void) {
  if (workers <= 0) return;
  atomic_store(&stopping, 1);
  announce(0);
  for (int i = 0; i < workers; ++i) pthread_join(threads[i], 0);
}

static int launch(task function, void *closure, int unused) {
  (void)unused;
  int tasks = *(int32_t *)closure; /* the first of the variables that a task reads, see tasks.py */
  if (tasks == 1 || atomic_flag_test_and_set_explicit(&busy, memory_order_acquire)) {
    group all = {0, 1};
    return function(0, &all, closure);
  }
  if (workers < 0) start();
  job.run = function;
  job.closure = closure;
  job.all.tasks = tasks;
  atomic_store_explicit(&done, 0, memory_order_relaxed);
  announce((unsigned)tasks);
  help(0);
  for (int i = 0; atomic_load_explicit(&done, memory_order_acquire) < tasks; ++i) {
    if (i < SPINS) {
      breathe();
    } else {
      sched_yield();
    }
  }
  atomic_flag_clear_explicit(&busy, memory_order_release);
  return 0;
}

/* The kernels' object has a null pointer of this name, a weak symbol that this one replaces. */
int (*__TVMBackendParallelLaunch)(task, void *, int) = launch;
