/* CUDA C++ of tvmopt's kernels as C++ for the CPU: a block's threads are contexts that run in turn, from one barrier or
   instruction of their warp to the next, which all of them reach. Instructions are as in tests/schedules/warp.py. */
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <ucontext.h>
#include <vector_functions.h>
#include <vector_types.h>

#undef __launch_bounds__
#define __launch_bounds__(...)
#define __syncthreads() next_thread()
#define __expf std::exp
#define tvmopt_wait(groups)

struct Index {
  unsigned x, y, z;
};
struct Operands { /* that a lane has for an instruction of its warp */
  const char *row;
  int words[8], word;
};

static const int THREADS = 1024, STACK = 1 << 16;
static Index threadIdx, blockIdx;
alignas(256) static unsigned char dynamic_shared[1 << 18];
static ucontext_t launcher, threads[THREADS];
static char *stacks;
static bool ended[THREADS], odd[THREADS];
static Operands operands[2][THREADS]; /* of this instruction and of the next, which a thread may be at already */
static int current;
static void (*kernel)();

static void next_thread() { swapcontext(&threads[current], &launcher); }

static Operands &own() {
  odd[current] = !odd[current];
  return operands[odd[current]][current];
}
static const Operands *warp() {
  next_thread();
  return &operands[odd[current]][current / 32 * 32];
}

template <class T> T max(T a, T b) { return a > b ? a : b; }
template <class T> T min(T a, T b) { return a < b ? a : b; }
static float rsqrtf(float x) { return 1 / std::sqrt(x); }
static float __fmaf_rn(float a, float b, float c) { return std::fma(a, b, c); }

template <class T> void move(void *to, const void *from) {
  if ((uintptr_t)to % sizeof(T) || (uintptr_t)from % sizeof(T)) abort();
  memcpy(to, from, sizeof(T));
}
static void tvmopt_move4(void *to, const void *from) { move<int>(to, from); }
static void tvmopt_move8(void *to, const void *from) { move<int2>(to, from); }
static void tvmopt_move16(void *to, const void *from) { move<int4>(to, from); }
static void tvmopt_commit() {}
static void tvmopt_copy16(void *to, const void *from, bool inside, int otherwise) {
  int4 fill = make_int4(otherwise, otherwise, otherwise, otherwise);
  move<int4>(to, inside ? from : &fill);
}

template <class T> int byte_of(const int *words, int index) {
  T byte;
  memcpy(&byte, (const char *)words + index, 1);
  return byte;
}
template <class W> void dot(int *c, int a, int b) {
  for (int i = 0; i < 4; i++) *c += byte_of<uint8_t>(&a, i) * byte_of<W>(&b, i);
}
static void tvmopt_dp4a(int *c, int a, int b) { dot<int8_t>(c, a, b); }
static void tvmopt_dp4a_u8(int *c, int a, int b) { dot<uint8_t>(c, a, b); }

static void tvmopt_ldmatrix(int *r, const void *row) {
  own().row = (const char *)row;
  const Operands *lanes = warp();
  int lane = current % 32;
  for (int i = 0; i < 4; i++) move<int>(&r[i], lanes[8 * i + lane / 4].row + 4 * (lane % 4));
}

/* An element of a[16, 32], words 0 to 3 of the lanes, or of b[k, 8], words 4 to 7. */
template <class T> int a_at(const Operands *lanes, int row, int k) {
  return byte_of<T>(&lanes[row % 8 * 4 + k % 16 / 4].words[row / 8 + k / 16 * 2], k % 4);
}
template <class T> int b_at(const Operands *lanes, int k, int column) {
  return byte_of<T>(&lanes[column * 4 + k % 16 / 4].words[4 + k / 16], k % 4);
}

template <class W> void mma(int *c, const int *a, const int *b) {
  Operands &mine = own();
  memcpy(mine.words, a, 16);
  memcpy(mine.words + 4, b, 8);
  const Operands *lanes = warp();
  for (int i = 0; i < 4; i++)
    for (int k = 0, row = current % 32 / 4 + i / 2 * 8, column = current % 4 * 2 + i % 2; k < 32; k++)
      c[i] += a_at<uint8_t>(lanes, row, k) * b_at<W>(lanes, k, column);
}
static void tvmopt_mma(int *c, const int *a, const int *b) { mma<int8_t>(c, a, b); }
static void tvmopt_mma_u8(int *c, const int *a, const int *b) { mma<uint8_t>(c, a, b); }
static void tvmopt_mma_sp(int *c, const int *a, const int *b, int e) {
  Operands &mine = own();
  memcpy(mine.words, a, 16);
  memcpy(mine.words + 4, b, 16);
  mine.word = e;
  const Operands *lanes = warp();
  for (int i = 0; i < 4; i++)
    for (int k = 0, row = current % 32 / 4 + i / 2 * 8, column = current % 4 * 2 + i % 2; k < 32; k++) {
      int position = lanes[row % 8 * 4 + row / 8 + k / 16 * 2].word >> 2 * (k % 16) & 3;
      c[i] += a_at<int8_t>(lanes, row, k) * b_at<uint8_t>(lanes, k / 2 * 4 + position, column);
    }
}

static int shuffled(int value, int lane) {
  own().word = value;
  return warp()[lane].word;
}
static int of_four(int value) {
  value += shuffled(value, current % 32 ^ 1);
  return value + shuffled(value, current % 32 ^ 2);
}
static void tvmopt_row_sum(int *s) { *s = of_four(*s); }
static void tvmopt_column_sum(int *s) {
  int sum = of_four(*s), first = current % 4 * 8;
  s[0] = shuffled(sum, first);
  s[1] = shuffled(sum, first + 4);
}

static void thread() {
  kernel();
  ended[current] = true;
  next_thread();
}
static void block(const int *extents) {
  int count = extents[0] * extents[1] * extents[2], left = count;
  memset(dynamic_shared, 0xCD, sizeof dynamic_shared);
  for (int i = 0; i < count; i++) {
    ended[i] = odd[i] = false;
    getcontext(&threads[i]);
    threads[i].uc_stack = {stacks + (size_t)STACK * i, 0, (size_t)STACK};
    makecontext(&threads[i], thread, 0);
  }
  while (left) {
    for (current = 0; current < count; current++) {
      threadIdx = {(unsigned)(current % extents[0]), (unsigned)(current / extents[0] % extents[1]),
                   (unsigned)(current / (extents[0] * extents[1]))};
      swapcontext(&launcher, &threads[current]);
      left -= ended[current];
    }
    if (left && left != count) abort(); /* some threads ended at a barrier of others */
  }
}
static void launch(const int *grid, const int *extents) {
  if (!stacks) stacks = (char *)malloc((size_t)STACK * THREADS);
  for (int i = 0; i < grid[0] * grid[1] * grid[2]; i++) {
    blockIdx = {(unsigned)(i % grid[0]), (unsigned)(i / grid[0] % grid[1]), (unsigned)(i / (grid[0] * grid[1]))};
    block(extents);
  }
}
