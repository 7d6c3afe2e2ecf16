/* One candidate, checked and timed in a process of its own: what a machine that measures runs, this one or a board.
 *
 * tvmopt_trial(path) reads a request and writes a result; both are text:
 *
 *     candidate, inputs, expected, result           paths, one a line
 *     seconds mebibytes                             that the candidate may use
 *     best flush sets count                         best: 0 makes the expected outputs, with this candidate
 *     bytes kind                                    of each buffer: read, written, scratch, or cold: read from memory
 *
 *     status
 *     message
 *     seconds of one run, one a line
 *
 * Inputs are sets of the buffers that are read, one after the other; expected are the buffers that are written, as the
 * default schedule leaves them for every set. Each buffer in these files begins at a multiple of ALIGNMENT.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
${includes}
#define TVMOPT_OK 0
#define TVMOPT_CPU 1

${check}

enum { GUARD = 4096, ALIGNMENT = 64, BUFFERS = 24, FEWEST = 5, MOST = 30 };
enum { READ, WRITTEN, SCRATCH, COLD };

static const double REPEAT = 1e-3;     /* seconds: a repeat runs the kernel as often as takes about this long */
static const double PRECISION = 0.01;  /* repeats end when the median is known to within this share of it */
static const double SLOWER = 1.5;      /* one that many times slower than the best is not worth more repeats */

typedef int (*function)(void);
typedef struct {
  long bytes, kind;
  char *memory; /* of what the kernel writes, with GUARD bytes before and after */
} buffer;
typedef struct {
  char candidate[1024], inputs[1024], expected[1024], result[1024];
  double seconds, best;
  long mebibytes, flush, sets, count;
  buffer buffers[BUFFERS];
} request;

static char message[512];
static volatile char *other; /* memory that is read to have the caches hold that */

static long padded(long bytes) { return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; }

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

#define P void *
static void call(function kernel, void **p, long count) {
  switch (count) {
${calls}
  }
}

static int is_read(const buffer *b) { return b->kind == READ || b->kind == COLD; }

/* Take memory out of all caches, on CPUs where programs may. */
static void evict(const char *memory, long bytes) {
  for (long at = 0; at < bytes; at += ALIGNMENT) {
#if defined(__x86_64__)
    __builtin_ia32_clflush(memory + at);
#elif defined(__aarch64__)
    __asm__ volatile("dc civac, %0" ::"r"(memory + at) : "memory");
#endif
  }
  __sync_synchronize();
}

/* Seconds that runs of a kernel take together. */
static double run(const request *r, function kernel, void **p, long runs) {
  double sum = 0, start = now();
  int cold = r->flush > 0;
  for (long i = 0; i < r->count; ++i) cold |= r->buffers[i].kind == COLD;
  if (!cold) {
    for (long i = 0; i < runs; ++i) call(kernel, p, r->count);
    return now() - start;
  }
  for (long i = 0; i < runs; ++i) {
    for (long at = 0; at < r->flush; at += ALIGNMENT) (void)other[at];
    for (long j = 0; j < r->count; ++j)
      if (r->buffers[j].kind == COLD) evict(p[j], r->buffers[j].bytes);
    start = now();
    call(kernel, p, r->count);
    sum += now() - start;
  }
  return sum;
}

static int read_request(const char *path, request *r) {
  FILE *file = fopen(path, "r");
  if (!file) return 0;
  int ok = fscanf(file, "%1023[^\n]\n%1023[^\n]\n%1023[^\n]\n%1023[^\n]\n", r->candidate, r->inputs, r->expected,
                  r->result) == 4 &&
           fscanf(file, "%lf %ld %lf %ld %ld %ld", &r->seconds, &r->mebibytes, &r->best, &r->flush, &r->sets,
                  &r->count) == 6 &&
           r->count <= BUFFERS;
  for (long i = 0; ok && i < r->count; ++i)
    ok = fscanf(file, "%ld %ld", &r->buffers[i].bytes, &r->buffers[i].kind) == 2;
  fclose(file);
  return ok;
}

static void write_result(const request *r, const char *status, const double *times, int count) {
  FILE *file = fopen(r->result, "w");
  if (!file) return;
  fprintf(file, "%s\n%s\n", status, message);
  for (int i = 0; i < count; ++i) fprintf(file, "%.9e\n", times[i]);
  fclose(file);
}

/* A file in memory that ends a process which writes to it; a page of zeros for an empty one. */
static char *map(const char *path) {
  struct stat info;
  int file = open(path, O_RDONLY);
  if (file < 0 || fstat(file, &info)) return 0;
  char *data = info.st_size ? mmap(0, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, file, 0)
                            : mmap(0, GUARD, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  close(file);
  return data == MAP_FAILED ? 0 : data;
}

static int intact(const buffer *b, char value) {
  for (long i = 0; i < GUARD; ++i)
    if (b->memory[i] != value || b->memory[GUARD + b->bytes + i] != value) return 0;
  return 1;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

/* Whether the median is known well enough: its 95 % interval is 1.57 interquartile ranges / sqrt(n) to both sides
 * (McGill, Tukey, Larsen: Variations of box plots, The American Statistician 32:1, 1978). */
static int known(const double *times, int n) {
  double sorted[MOST];
  memcpy(sorted, times, (size_t)n * sizeof *times);
  qsort(sorted, (size_t)n, sizeof *sorted, ascending);
  double range = sorted[3 * n / 4] - sorted[n / 4], precision = PRECISION * sorted[n / 2];
  return 1.57 * 1.57 * range * range <= precision * precision * n;
}

/* Run the candidate on all sets of inputs; gives the status, "ok" where its outputs are the expected ones. */
static const char *check(request *r, function kernel, const char *inputs, void **p) {
  char fill = r->best > 0 ? (char)0xA5 : 0x5A; /* what nobody writes differs from the expected */
  int made = open(r->expected, r->best > 0 ? O_RDONLY : O_WRONLY | O_CREAT | O_TRUNC, 0600);
  const char *expected = r->best > 0 ? map(r->expected) : 0;
  if (made < 0 || (r->best > 0 && !expected)) return strcpy(message, "no expected outputs"), "run";
  for (long set = 0; set < r->sets; ++set) {
    for (long i = 0; i < r->count; ++i) {
      buffer *b = &r->buffers[i];
      if (!is_read(b)) memset(b->memory, fill, (size_t)padded(b->bytes) + 2 * GUARD);
      p[i] = is_read(b) ? (char *)inputs : b->memory + GUARD;
      inputs += is_read(b) ? padded(b->bytes) : 0;
    }
    call(kernel, p, r->count);
    for (long i = 0; i < r->count; ++i) {
      buffer *b = &r->buffers[i];
      if (is_read(b)) continue;
      if (!intact(b, fill)) {
        snprintf(message, sizeof message, "writes beyond its buffers (inputs %ld)", set);
        return "wrong";
      }
      if (b->kind == SCRATCH) continue;
      if (r->best == 0) {
        if (write(made, p[i], (size_t)padded(b->bytes)) != padded(b->bytes)) return "run";
      } else {
        long differing = 0;
        for (long at = 0; at < b->bytes; ++at) differing += ((char *)p[i])[at] != expected[at];
        if (differing) {
          snprintf(message, sizeof message, "%ld of %ld bytes differ from the default schedule's (inputs %ld)",
                   differing, b->bytes, set);
          return "wrong";
        }
        expected += padded(b->bytes);
      }
    }
  }
  close(made);
  return "ok";
}

static void trial(request *r) {
  double times[MOST];
  int n = 0;
  void *p[BUFFERS];
  const char *status = "run", *inputs = map(r->inputs);
  void *library = dlopen(r->candidate, RTLD_NOW | RTLD_LOCAL);
  function kernel = library ? (function)dlsym(library, "${symbol}") : 0;
  if (!inputs || !kernel) {
    snprintf(message, sizeof message, "%s", inputs ? dlerror() : "no inputs");
    write_result(r, status, times, 0);
    return;
  }
  for (long i = 0; i < r->count; ++i) {
    buffer *b = &r->buffers[i];
    if (is_read(b)) continue;
    b->memory = aligned_alloc(ALIGNMENT, (size_t)padded(b->bytes) + 2 * GUARD);
    if (!b->memory) status = "memory";
  }
  other = malloc((size_t)r->flush + 1);
  if (!other || !strcmp(status, "memory")) {
    snprintf(message, sizeof message, "more than %ld MiB", r->mebibytes);
    write_result(r, "memory", times, 0);
    return;
  }
  memset((char *)other, 1, (size_t)r->flush + 1);
  status = check(r, kernel, inputs, p);
  if (!strcmp(status, "ok") && r->best > 0) {
    const char *at = inputs; /* the first, random set again */
    for (long i = 0; i < r->count; ++i) {
      if (!is_read(&r->buffers[i])) continue;
      p[i] = (char *)at;
      at += padded(r->buffers[i].bytes);
    }
    double first = run(r, kernel, p, 1), second = run(r, kernel, p, 1);
    long runs = 1 + (long)(REPEAT / ((first < second ? first : second) + 1e-9));
    while (n < MOST && !(n >= FEWEST && known(times, n))) {
      times[n++] = run(r, kernel, p, runs) / (double)runs;
      if (n == 2 && times[0] > SLOWER * r->best && times[1] > SLOWER * r->best) {
        status = "slow";
        strcpy(message, "clearly slower than the best");
        break;
      }
    }
  }
  write_result(r, status, times, n);
}

/* Memory of this process, MiB. */
static long used(void) {
  long pages = 0;
  FILE *file = fopen("/proc/self/statm", "r");
  if (file && fscanf(file, "%ld", &pages) != 1) pages = 0;
  if (file) fclose(file);
  return pages * sysconf(_SC_PAGESIZE) >> 20;
}

int tvmopt_trial(const char *path) {
  static request r;
  if (!read_request(path, &r)) return 1;
  message[0] = 0;
  if (tvmopt_trial_check() != TVMOPT_OK) {
    strcpy(message, "this CPU cannot run code for ${target}");
    write_result(&r, "run", 0, 0);
    return 0;
  }
  pid_t pid = fork();
  if (pid < 0) return 1;
  if (pid == 0) {
    struct rlimit memory = {0, 0};
    setrlimit(RLIMIT_CORE, &memory);
    memory.rlim_cur = memory.rlim_max = (rlim_t)(used() + r.mebibytes) << 20;
    setrlimit(RLIMIT_AS, &memory);
    signal(SIGALRM, SIG_DFL);
    struct itimerval limit = {{0, 0}, {(time_t)r.seconds, (suseconds_t)((r.seconds - (double)(time_t)r.seconds) * 1e6)}};
    setitimer(ITIMER_REAL, &limit, 0);
    trial(&r);
    _exit(0);
  }
  int status;
  while (waitpid(pid, &status, 0) < 0) {
  }
  if (WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM) {
    snprintf(message, sizeof message, "more than %g s", r.seconds);
    write_result(&r, "timeout", 0, 0);
  } else if (WIFSIGNALED(status)) {
    snprintf(message, sizeof message, "%s", strsignal(WTERMSIG(status)));
    write_result(&r, "crash", 0, 0);
  } else if (status) {
    snprintf(message, sizeof message, "it ended the process, status %d", WEXITSTATUS(status));
    write_result(&r, "crash", 0, 0);
  }
  return 0;
}

/* For TVM's RPC server: a function without arguments or result. The request is the file "request". */
int __tvm_ffi_tvmopt_trial(void *self, const void *arguments, int32_t count, void *result) {
  (void)self, (void)arguments, (void)count, (void)result;
  return tvmopt_trial("request") ? -1 : 0;
}
