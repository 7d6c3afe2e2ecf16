/* Vector table and start of a Cortex-M program: memory, floating point unit, main.
 *
 * Part of tvmopt's example project. A board's own startup code (CMSIS) takes its place.
 */
#include <stdint.h>
#include <string.h>

extern uint32_t stack_top[], data_load[], data_start[], data_end[], bss_start[], bss_end[];
extern int main(void);
extern void systick_reached_zero(void);
extern void finish(int status) __attribute__((noreturn));

static void fault(void) { finish(1); }

__attribute__((noreturn)) void reset(void) {
#if defined(__ARM_FP)
  *(volatile uint32_t *)0xE000ED88 |= 0xFu << 20; /* CPACR: full access to the floating point unit */
  __asm__ volatile("dsb\n isb");
#endif
#if defined(__ARM_FEATURE_MVE)
  __asm__ volatile("vmsr fpscr, %0" ::"r"(4u << 16)); /* LTPSIZE = 4: no tail predication */
#endif
  memcpy(data_start, data_load, (size_t)((char *)data_end - (char *)data_start));
  memset(bss_start, 0, (size_t)((char *)bss_end - (char *)bss_start));
  finish(main());
}

__attribute__((section(".vectors"), used)) static const void *const vectors[16] = {
  [0] = stack_top, [1] = (void *)reset, [2 ... 6] = (void *)fault, [15] = (void *)systick_reached_zero,
};
