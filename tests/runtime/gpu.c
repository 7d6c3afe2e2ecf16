/* A GPU in software, for what TVM's CUDA runtime asks of libcudart.so.13 and libcuda.so.1: memory is the host's, and
   kernels are run by a callback. What a driver refuses is refused: calls that no stream may capture, launches beyond
   the limits of a block, or by a thread without a context. Streams do their work at once; a capture notes it, and a
   graph's launch does it. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OK = 0, INVALID_VALUE = 1, NO_MEMORY = 2, NO_CONTEXT = 201, NOT_FOUND = 500, IN_CAPTURE = 900, IMPLICIT = 906 };
enum { KERNELS = 512, PARAMS = 32, ALLOCATIONS = 4096 };

static const size_t MEMORY = (size_t)1 << 32;

typedef struct {
  char name[200];
  int params, allowed; /* bytes of dynamic shared memory */
} Kernel;
typedef struct {
  const Kernel *kernel;
  int bytes;
  uint64_t params[PARAMS];
} Launch;
typedef struct {
  int count;
  Launch *launches;
} Graph;
typedef struct {
  unsigned grid[3], block[3], shared;
  void *stream, *attributes;
  unsigned count;
} Config;

static Kernel kernels[KERNELS];
static struct {
  char *begin;
  size_t size;
} allocations[ALLOCATIONS];
static void (*run)(const char *name, int shared, const uint64_t *params);
static Graph *capture;
static void *capturing;
static int shared_limit;
static _Thread_local int current; /* whether the thread has a context, which the runtime makes, the driver asks for */

/* for the tests */
int gpu_counts[5]; /* modules, launches, captures, graph launches, calls refused during a capture */
enum { MODULES, LAUNCHES, CAPTURES, REPLAYS, REFUSED };

void gpu_begin(int shared, void (*callback)(const char *, int, const uint64_t *)) {
  shared_limit = shared;
  run = callback;
}

void gpu_define(const char *name, int params) { /* again for another kernel of that name */
  if (params > PARAMS) abort();
  for (Kernel *k = kernels; k < kernels + KERNELS; k++)
    if (!k->name[0] || !strcmp(k->name, name)) {
      snprintf(k->name, sizeof k->name, "%s", name);
      k->params = params;
      k->allowed = 48 * 1024;
      return;
    }
  abort();
}

size_t gpu_room(uint64_t address) { /* bytes from there to the end of the allocation */
  for (int i = 0; i < ALLOCATIONS; i++) {
    uint64_t begin = (uint64_t)allocations[i].begin;
    if (begin && address >= begin && address < begin + allocations[i].size) return begin + allocations[i].size - address;
  }
  return 0;
}

static int refused(void) { return capture ? (gpu_counts[REFUSED]++, IN_CAPTURE) : OK; }

/* the device */
int cuInit(unsigned flags) { return OK; }
int cuDeviceGet(int *device, int ordinal) { return *device = 0, OK; }
int cuDriverGetVersion(int *version) { return *version = 13020, OK; }
int cuDeviceGetName(char *name, int size, int device) { return snprintf(name, size, "software"), OK; }
static int attribute(int *value, int which) {
  switch (which) {
    case 16: return *value = 108, OK; /* multiprocessors */
    case 75: return *value = 8, OK;   /* compute capability */
    case 76: return *value = 0, OK;
    case 97: return *value = shared_limit, OK;
    default: return *value = 1, OK;
  }
}
int cuDeviceGetAttribute(int *value, int which, int device) { return attribute(value, which); }
int cudaDeviceGetAttribute(int *value, int which, int device) { return attribute(value, which); }
int cudaGetDevice(int *device) { return *device = 0, OK; }
int cudaSetDevice(int device) { return device ? INVALID_VALUE : (current = 1, OK); }
int cudaGetDeviceCount(int *count) { return *count = 1, OK; }
int cudaGetDeviceProperties(void *properties, int device) { return INVALID_VALUE; }
const char *cudaGetErrorName(int error) { return error == NO_MEMORY ? "out of memory" : "error"; }
const char *cudaGetErrorString(int error) { return cudaGetErrorName(error); }
int cuGetErrorName(int error, const char **name) { return *name = cudaGetErrorName(error), OK; }
int cuGetErrorString(int error, const char **text) { return cuGetErrorName(error, text); }
int cudaGetLastError(void) { return OK; }
int cudaPeekAtLastError(void) { return OK; }

/* memory, which has anything in it at first */
int cudaMalloc(void **to, size_t size) {
  current = 1;
  if (refused()) return IN_CAPTURE;
  if (size > MEMORY) return NO_MEMORY;
  for (int i = 0; i < ALLOCATIONS; i++)
    if (!allocations[i].begin) {
      allocations[i].size = size;
      *to = allocations[i].begin = aligned_alloc(256, (size + 511) / 256 * 256);
      memset(*to, 0xCD, size);
      return OK;
    }
  return NO_MEMORY;
}
int cudaFree(void *memory) {
  if (refused()) return IN_CAPTURE;
  for (int i = 0; i < ALLOCATIONS; i++)
    if (allocations[i].begin == memory) allocations[i].begin = NULL;
  return free(memory), OK;
}
int cudaMallocHost(void **to, size_t size) { return (*to = malloc(size)) ? OK : NO_MEMORY; }
int cudaFreeHost(void *memory) { return free(memory), OK; }
int cudaMemGetInfo(size_t *unused, size_t *all) { return *unused = *all = MEMORY, OK; }
int cuMemGetInfo_v2(size_t *unused, size_t *all) { return cudaMemGetInfo(unused, all); }
int cudaMemcpyAsync(void *to, const void *from, size_t size, int kind, void *stream) {
  if (refused()) return IN_CAPTURE; /* which a driver would capture; no kernel of ours copies */
  return memcpy(to, from, size), OK;
}
int cudaMemcpyPeerAsync(void *to, int a, const void *from, int b, size_t size, void *stream) { return INVALID_VALUE; }

/* streams, events */
int cudaStreamCreate(void **stream) { return (*stream = malloc(1)) ? OK : NO_MEMORY; }
int cudaStreamCreateWithFlags(void **stream, unsigned flags) { return cudaStreamCreate(stream); }
int cudaStreamDestroy(void *stream) { return free(stream), OK; }
int cudaStreamSynchronize(void *stream) { return refused(); }
int cudaStreamWaitEvent(void *stream, void *event, unsigned flags) { return OK; }
int cudaEventCreate(void **event) { return *event = NULL, OK; }
int cudaEventDestroy(void *event) { return OK; }
int cudaEventRecord(void *event, void *stream) { return OK; }
int cudaEventSynchronize(void *event) { return refused(); }
int cudaEventElapsedTime(float *ms, void *a, void *b) { return *ms = 0, OK; }

/* graphs */
int cudaStreamBeginCapture(void *stream, int mode) {
  if (capture || !stream) return INVALID_VALUE;
  capture = calloc(1, sizeof *capture);
  capturing = stream;
  gpu_counts[CAPTURES]++;
  return OK;
}
int cudaStreamEndCapture(void *stream, Graph **graph) {
  if (!capture || stream != capturing) return INVALID_VALUE;
  *graph = capture;
  capture = NULL;
  return OK;
}
int cudaGraphInstantiate(Graph **to, Graph *graph, uint64_t flags) {
  *to = malloc(sizeof **to);
  (*to)->count = graph->count;
  (*to)->launches = malloc(sizeof(Launch) * (graph->count + 1));
  memcpy((*to)->launches, graph->launches, sizeof(Launch) * graph->count);
  return refused();
}
int cudaGraphDestroy(Graph *graph) { return free(graph->launches), free(graph), OK; }
int cudaGraphExecDestroy(Graph *graph) { return cudaGraphDestroy(graph); }
int cudaGraphLaunch(Graph *graph, void *stream) {
  if (refused()) return IN_CAPTURE;
  gpu_counts[REPLAYS]++;
  for (Launch *l = graph->launches; l < graph->launches + graph->count; l++) run(l->kernel->name, l->bytes, l->params);
  return OK;
}

/* code */
int cuModuleLoadData(void **module, const void *image) {
  if (!current) return NO_CONTEXT;
  gpu_counts[MODULES]++;
  *module = kernels;
  return memcmp(image, "\177ELF", 4) ? INVALID_VALUE : refused();
}
int cuModuleUnload(void *module) { return OK; }
int cuModuleGetFunction(Kernel **function, void *module, const char *name) {
  for (Kernel *k = kernels; k < kernels + KERNELS; k++)
    if (!strcmp(k->name, name)) return *function = k, OK;
  return NOT_FOUND;
}
int cuFuncSetAttribute(Kernel *kernel, int which, int value) {
  if (which != 8 || value > shared_limit) return INVALID_VALUE; /* bytes of dynamic shared memory */
  kernel->allowed = value;
  return refused();
}
int cuLaunchKernelEx(const Config *config, const Kernel *kernel, void **params, void **extra) {
  const unsigned *grid = config->grid, *block = config->block;
  if (!current) return NO_CONTEXT;
  if (block[0] * block[1] * block[2] > 1024 || block[2] > 64 || !block[0] || !grid[0]) return INVALID_VALUE;
  if (grid[1] > 65535 || grid[2] > 65535 || config->shared > (unsigned)kernel->allowed) return INVALID_VALUE;
  Launch launch = {kernel, (int)config->shared, {0}};
  for (int i = 0; i < kernel->params; i++) launch.params[i] = *(uint64_t *)params[i];
  if (capture && config->stream != capturing) return gpu_counts[REFUSED]++, IMPLICIT;
  gpu_counts[LAUNCHES]++;
  if (!capture) return run(kernel->name, launch.bytes, launch.params), OK;
  capture->launches = realloc(capture->launches, sizeof launch * (capture->count + 1));
  capture->launches[capture->count++] = launch;
  return OK;
}
int cuTensorMapEncodeTiled(void) { return INVALID_VALUE; }
