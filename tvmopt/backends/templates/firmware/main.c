/* Runs the model on a Cortex-M with a debugger or an emulator: inputs come from a file of the host, outputs go to
 * one (semihosting), by default its standard input and output.
 *
 * Part of tvmopt's example project. Reads the inputs of one call after the other, their bytes in the model's order,
 * and writes the outputs likewise, until there is no more input; then writes how many ticks of SysTick the last call
 * took, and, if compiled with TVMOPT_PROFILE, after how many each step began and the last one ended. Everything
 * between the two comments is what an application does to run the model.
 */
#include <stdint.h>

#include "${name}.h"

#ifndef INPUT
#define INPUT "/dev/stdin"
#define OUTPUT "/dev/stdout"
#define MESSAGES "/dev/stderr"
#endif

enum { SYS_OPEN = 1, SYS_WRITE = 5, SYS_READ = 6, SYS_EXIT = 0x18, READ = 1, WRITE = 5 };

static int32_t host(int32_t operation, const void *block) {
  register int32_t r0 __asm__("r0") = operation;
  register const void *r1 __asm__("r1") = block;
  __asm__ volatile("bkpt 0xAB" : "+r"(r0) : "r"(r1) : "memory");
  return r0;
}

__attribute__((noreturn)) void finish(int status) {
  host(SYS_EXIT, (void *)(status ? 0x20023 : 0x20026)); /* runtime error, or application exit */
  for (;;) {
  }
}

static int32_t open_file(const char *name, uint32_t length, uint32_t mode) {
  const uint32_t block[3] = {(uint32_t)name, mode, length};
  return host(SYS_OPEN, block);
}

/* Whether all bytes were transferred. */
static int transfer(int32_t operation, int32_t file, const void *data, uint32_t size) {
  const char *at = data;
  while (size) {
    const uint32_t block[3] = {(uint32_t)file, (uint32_t)at, size};
    const uint32_t left = (uint32_t)host(operation, block);
    if (left >= size) return 0;
    at += size - left;
    size = left;
  }
  return 1;
}

/* Time, in ticks of the processor's clock. SysTick counts down through 24 bits. */
static volatile uint32_t *const systick = (uint32_t *)0xE000E010; /* control, reload, current */
static volatile uint32_t rounds;

void systick_reached_zero(void) { ++rounds; }

static void start_clock(void) {
  systick[1] = 0xFFFFFF;
  systick[2] = 0;
  rounds = 0;
  systick[0] = 7; /* on, with interrupts, by the processor's clock */
  while (!systick[2]) {
  }
}

static uint32_t elapsed(void) {
  uint32_t before, left;
  do {
    before = rounds;
    left = systick[2];
  } while (before != rounds);
  return (before << 24) + (0xFFFFFF - left);
}

/* What the model needs. */
${definitions}
static void *const inputs[] = {${inputs}};
static void *const outputs[] = {${outputs}};
static const uint32_t input_bytes[] = {${input_bytes}};
static const uint32_t output_bytes[] = {${output_bytes}};
/* That is all. */

#ifdef TVMOPT_PROFILE
enum { TIMES = ${steps_count} + 1 };
static uint32_t times[TIMES];

void tvmopt_${name}_step(uint32_t number) { times[number] = elapsed(); }
#endif

/* Writes a number and a space. */
static void tell(int32_t file, uint32_t number) {
  char text[11];
  uint32_t at = sizeof text;
  text[--at] = ' ';
  do {
    text[--at] = (char)('0' + number % 10);
  } while (number /= 10);
  transfer(SYS_WRITE, file, text + at, sizeof text - at);
}

int main(void) {
  const int32_t in = open_file(INPUT, sizeof INPUT - 1, READ);
  const int32_t out = open_file(OUTPUT, sizeof OUTPUT - 1, WRITE);
  uint32_t total = 0;
  for (;;) {
    for (uint32_t i = 0; i < ${inputs_count}; ++i) {
      if (transfer(SYS_READ, in, inputs[i], input_bytes[i])) continue;
      const int32_t messages = open_file(MESSAGES, sizeof MESSAGES - 1, WRITE);
      tell(messages, total);
#ifdef TVMOPT_PROFILE
      for (uint32_t step = 0; step < TIMES; ++step) tell(messages, times[step]);
#endif
      return 0;
    }
    start_clock();
    const int32_t status = tvmopt_${name}_run(${arguments});
    total = elapsed();
    if (status != TVMOPT_OK) return 1;
    for (uint32_t i = 0; i < ${outputs_count}; ++i) transfer(SYS_WRITE, out, outputs[i], output_bytes[i]);
  }
}
