/* Prints what one core reaches at most: int8 multiply-accumulates a second with its widest dot product of 8-bit
   integers, in registers, and bytes a second that copies move (read and written) within 256 KiB and within 64 MiB. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { CHAINS = 12, ROUNDS = 200, LINKS = 8, STEPS = 1000, SMALL = 128 << 10, LARGE = 32 << 20 };

#if defined(__AVX512VNNI__)
#include <immintrin.h>
#define REGISTER "+v"
typedef __m512i Sums;
static Sums multiply_add(Sums sums, Sums a, Sums b) { return _mm512_dpbusd_epi32(sums, a, b); }
#elif defined(__AVX2__)
#include <immintrin.h>
#define REGISTER "+x"
typedef __m256i Sums;
static Sums multiply_add(Sums sums, Sums a, Sums b) {
  Sums pairs = _mm256_madd_epi16(_mm256_maddubs_epi16(a, b), _mm256_set1_epi16(1));
  return _mm256_add_epi32(sums, pairs);
}
#elif defined(__ARM_FEATURE_DOTPROD)
#include <arm_neon.h>
#define REGISTER "+w"
typedef int32x4_t Sums;
static Sums multiply_add(Sums sums, Sums a, Sums b) {
  return vdotq_s32(sums, vreinterpretq_s8_s32(a), vreinterpretq_s8_s32(b));
}
#else
#error "no dot product of 8-bit integers is known for this CPU"
#endif

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double macs_per_second(void) {
  Sums sums[CHAINS] = {{0}}, a = {1}, b = {1};
  double best = 0;
  for (int round = 0; round < ROUNDS; ++round) {
    double start = now();
    for (int step = 0; step < STEPS; ++step) {
      __asm__ volatile("" : REGISTER(a), REGISTER(b)); /* or nothing would be left to compute */
#pragma GCC unroll 8
      for (int link = 0; link < LINKS; ++link)
#pragma GCC unroll 16
        for (int i = 0; i < CHAINS; ++i) sums[i] = multiply_add(sums[i], a, b);
    }
    double rate = (double)STEPS * LINKS * CHAINS * sizeof(Sums) / (now() - start);
    if (rate > best) best = rate;
  }
  for (int i = 0; i < CHAINS; ++i) __asm__ volatile("" : REGISTER(sums[i]));
  return best;
}

static double bytes_per_second(size_t size) {
  unsigned char *from = malloc(size), *to = malloc(size);
  double best = 0;
  memset(from, 1, size), memset(to, 0, size);
  long runs = (long)((64u << 20) / size);
  for (int round = 0; round < ROUNDS / 4; ++round) {
    double start = now();
    for (long run = 0; run < runs; ++run) {
      memcpy(to, from, size);
      __asm__ volatile("" : : "r"(to) : "memory");
    }
    double rate = (double)runs * 2 * (double)size / (now() - start);
    if (rate > best) best = rate;
  }
  free(from), free(to);
  return best;
}

int main(void) {
  printf("%g %g %g\n", macs_per_second(), bytes_per_second(SMALL), bytes_per_second(LARGE));
  return 0;
}
