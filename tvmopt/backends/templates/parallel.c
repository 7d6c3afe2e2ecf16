/* Fork and join for parallel loops: what __TVMBackendParallelLaunch points to, which the kernels call.
 *
 * Part of tvmopt; compiled into artifacts of more than one thread. THREADS - 1 workers start with the first
 * parallel loop, watch for work for a while (SPINS) after each one, then sleep until there is more. There is one
 * set of workers: a call of the model that finds them busy with another call does its loops by itself, so calls
 * may come from any number of threads. A forked child starts workers of its own.
 */
#define _POSIX_C_SOURCE 200809L
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>

enum { SPINS = 20000 /* tens of microseconds */ };

typedef struct {
  void *barrier; /* unused */
  int32_t tasks;
} group;
typedef int (*task)(int id, group *group, void *closure);

static struct {
  task run;
  void *closure;
} job;
static atomic_uint generation;     /* counts jobs: a worker that sees it change has work */
static atomic_int unfinished;      /* workers still at the current job */
static atomic_int sleeping;        /* workers that must be woken */
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

static void run(int id) {
  group all = {0, THREADS};
  job.run(id, &all, job.closure);
}

static void await_more(unsigned seen) {
  for (int i = 0; i < SPINS; ++i) {
    if (atomic_load_explicit(&generation, memory_order_acquire) != seen) return;
    breathe();
  }
  pthread_mutex_lock(&mutex);
  atomic_fetch_add(&sleeping, 1); /* before it looks at generation, which launch() sets before it looks here */
  while (atomic_load(&generation) == seen) pthread_cond_wait(&more, &mutex);
  atomic_fetch_sub(&sleeping, 1);
  pthread_mutex_unlock(&mutex);
}

static void announce(void) {
  atomic_fetch_add(&generation, 1);
  if (atomic_load(&sleeping)) {
    pthread_mutex_lock(&mutex);
    pthread_cond_broadcast(&more);
    pthread_mutex_unlock(&mutex);
  }
}

static void *work(void *id) {
  for (unsigned seen = 0;; ++seen) {
    await_more(seen);
    if (atomic_load(&stopping)) return 0;
    run((int)(intptr_t)id);
    atomic_fetch_sub_explicit(&unfinished, 1, memory_order_release);
  }
}

static void after_fork(void) {
  static const pthread_mutex_t fresh_mutex = PTHREAD_MUTEX_INITIALIZER;
  static const pthread_cond_t fresh_cond = PTHREAD_COND_INITIALIZER;
  mutex = fresh_mutex;
  more = fresh_cond;
  workers = -1;
  atomic_store(&generation, 0);
  atomic_store(&sleeping, 0);
  atomic_flag_clear(&busy);
}

static void start(void) {
  static int registered;
  if (!registered) registered = !pthread_atfork(0, 0, after_fork);
  workers = 0;
  atomic_store(&generation, 0);
  while (workers < THREADS - 1 && !pthread_create(&threads[workers], 0, work, (void *)(intptr_t)(workers + 1))) {
    ++workers;
  }
}

__attribute__((destructor)) static void stop(void) {
  if (workers <= 0) return;
  atomic_store(&stopping, 1);
  announce();
  for (int i = 0; i < workers; ++i) pthread_join(threads[i], 0);
}

static int launch(task function, void *closure, int tasks) {
  (void)tasks; /* always 0: as many as there are threads */
  if (atomic_flag_test_and_set_explicit(&busy, memory_order_acquire)) {
    group all = {0, THREADS};
    for (int id = 0; id < THREADS; ++id) function(id, &all, closure);
    return 0;
  }
  if (workers < 0) start();
  job.run = function;
  job.closure = closure;
  atomic_store(&unfinished, workers);
  announce();
  run(0);
  for (int id = workers + 1; id < THREADS; ++id) run(id); /* of workers that could not be started */
  for (int i = 0; atomic_load_explicit(&unfinished, memory_order_acquire); ++i) {
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
