/* Prints the nanoseconds that a call of a model takes: the least of many batches, each the mean of its calls. */
#define _POSIX_C_SOURCE 200809L
#include <stdio.h>
#include <time.h>

#include "model.h"

enum { BATCHES = 200, CALLS = 2000 };

static double now(void) {
  struct timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

int main(void) {
  static _Alignas(TVMOPT_MODEL_WORKSPACE_ALIGNMENT) unsigned char workspace[TVMOPT_MODEL_WORKSPACE_BYTES + 1];
  static _Alignas(64) unsigned char input[TVMOPT_MODEL_INPUT_0_BYTES], output[TVMOPT_MODEL_OUTPUT_0_BYTES];
  const void *const inputs[] = {input};
  void *const outputs[] = {output};
  double least = 1e18;
  for (int batch = 0; batch < BATCHES; ++batch) {
    const double begin = now();
    for (int call = 0; call < CALLS; ++call) {
      if (tvmopt_model_run(inputs, outputs, workspace) != TVMOPT_OK) return 1;
    }
    const double nanoseconds = (now() - begin) / CALLS;
    if (nanoseconds < least) least = nanoseconds;
  }
  printf("%.1f\n", least);
  return 0;
}
