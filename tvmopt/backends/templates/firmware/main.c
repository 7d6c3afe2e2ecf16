/* Runs the model on a Cortex-M with a debugger or an emulator: inputs come from a file of the host, outputs go to
 * one (semihosting), by default its standard input and output.
 *
 * Part of tvmopt's example project. Reads the inputs of one call after the other, their bytes in the model's order,
 * and writes the outputs likewise, until there is no more input; then writes how many ticks of SysTick the last call
 * took. Everything between the two comments is what an application does to run the model.
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

static volatile uint32_t *const systick = (uint32_t *)0xE000E010; /* control, reload, current */

/* What the model needs. */
${definitions}
static void *const inputs[] = {${inputs}};
static void *const outputs[] = {${outputs}};
static const uint32_t input_bytes[] = {${input_bytes}};
static const uint32_t output_bytes[] = {${output_bytes}};
/* That is all. */

static uint32_t ticks(uint32_t elapsed, char *text) {
  uint32_t length = 0;
  char digits[10];
  do {
    digits[length++] = (char)('0' + elapsed % 10);
  } while (elapsed /= 10);
  for (uint32_t i = 0; i < length; ++i) text[i] = digits[length - 1 - i];
  return length;
}

int main(void) {
  const int32_t in = open_file(INPUT, sizeof INPUT - 1, READ);
  const int32_t out = open_file(OUTPUT, sizeof OUTPUT - 1, WRITE);
  uint32_t elapsed = 0;
  systick[1] = 0xFFFFFF;
  systick[0] = 5; /* on, by the processor's clock */
  for (;;) {
    for (uint32_t i = 0; i < ${inputs_count}; ++i) {
      if (transfer(SYS_READ, in, inputs[i], input_bytes[i])) continue;
      char text[10];
      transfer(SYS_WRITE, open_file(MESSAGES, sizeof MESSAGES - 1, WRITE), text, ticks(elapsed, text));
      return 0;
    }
    systick[2] = 0;
    const int32_t status = tvmopt_${name}_run(${arguments});
    elapsed = 0xFFFFFF - systick[2];
    if (status != TVMOPT_OK) return 1;
    for (uint32_t i = 0; i < ${outputs_count}; ++i) transfer(SYS_WRITE, out, outputs[i], output_bytes[i]);
  }
}
