/* Fork and join for parallel loops: what __TVMBackendParallelLaunch points to, which the kernels call.
 *
 * Part of tvmopt; compiled into artifacts of more than one thread. THREADS - 1 workers start with the first
 * parallel loop, watch for work for a while (SPINS) after each one, then sleep until there is more. Tasks are not
 * assigned but claimed: the caller does those that no worker got to, so that on a busy machine it never waits for
 * a worker that is not running. There is one set of workers: a call of the model that finds them busy with another
 * call does its loops by itself, so calls may come from any number of threads. A forked child starts workers of
 * its own.
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
} job; /* valid from the ticket that announces it until all its tasks are done */
static _Atomic uint64_t ticket; /* number of the job << 32 | its next task that nobody has claimed */
static atomic_int done;         /* tasks of the job */
static atomic_int sleeping;     /* workers that must be woken */
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

static unsigned current(void) { return (unsigned)(atomic_load_explicit(&ticket, memory_order_acquire) >> 32); }

/* Do tasks of the job until all are claimed. A latecomer finds none left, or those of the next job. */
static void help(void) {
  for (;;) {
    uint32_t id = (uint32_t)atomic_fetch_add_explicit(&ticket, 1, memory_order_acq_rel);
    if (id >= THREADS) return;
    group all = {0, THREADS};
    job.run((int)id, &all, job.closure);
    atomic_fetch_add_explicit(&done, 1, memory_order_release);
  }
}

static void await_more(unsigned seen) {
  for (int i = 0; i < SPINS; ++i) {
    if (current() != seen) return;
    breathe();
  }
  pthread_mutex_lock(&mutex);
  atomic_fetch_add(&sleeping, 1); /* before it looks at the ticket, which announce() sets before it looks here */
  while (atomic_load(&ticket) >> 32 == seen) pthread_cond_wait(&more, &mutex);
  atomic_fetch_sub(&sleeping, 1);
  pthread_mutex_unlock(&mutex);
}

static void announce(void) {
  atomic_store(&ticket, (uint64_t)(current() + 1) << 32);
  if (atomic_load(&sleeping)) {
    pthread_mutex_lock(&mutex);
    pthread_cond_broadcast(&more);
    pthread_mutex_unlock(&mutex);
  }
}

static void *work(void *unused) {
  (void)unused;
  for (unsigned seen = 0;;) {
    await_more(seen);
    if (atomic_load(&stopping)) return 0;
    seen = current();
    help();
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
  atomic_store(&ticket, THREADS); /* no job yet */
  for (workers = 0; workers < THREADS - 1 && !pthread_create(&threads[workers], 0, work, 0);) ++workers;
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
  atomic_store(&done, 0);
  announce();
  help();
  for (int i = 0; atomic_load_explicit(&done, memory_order_acquire) < THREADS; ++i) {
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
