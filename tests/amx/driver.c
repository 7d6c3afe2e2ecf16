/* Instructions for the emulator to execute, in each form that compilers use. */
#include <immintrin.h>
#include <stdint.h>

void configure(const void *config) { _tile_loadconfig(config); }

void configuration(void *config) { _tile_storeconfig(config); }

void release(void) { _tile_release(); }

/* c += a x b: kind 0 u8 x u8, 1 u8 x s8, 2 s8 x u8, 3 s8 x s8. c: tile 0, a: tile 1, b: tile 2. */
void dot(int kind, int32_t *c, const void *a, const void *b, long c_stride, long a_stride, long b_stride) {
  _tile_loadd(0, c, c_stride);
  _tile_loadd(1, a, a_stride);
  _tile_stream_loadd(2, b, b_stride);
  switch (kind) {
    case 0: _tile_dpbuud(0, 1, 2); break;
    case 1: _tile_dpbusd(0, 1, 2); break;
    case 2: _tile_dpbsud(0, 1, 2); break;
    default: _tile_dpbssd(0, 1, 2); break;
  }
  _tile_stored(0, c, c_stride);
}

void zero(int32_t *c, long c_stride) {
  _tile_zero(7);
  _tile_stored(7, c, c_stride);
}

/* tdpbusd tmm0, tmm1, tmm1, which assemblers refuse. */
void dot_with_itself(void) { __asm__ volatile(".byte 0xc4, 0xe2, 0x71, 0x5e, 0xc1"); }

void other(void) { __builtin_trap(); }

/* 16 rows of 64 bytes, from behind 4096 bytes of ``from``, by way of every form of address. */
void copies(uint8_t (*to)[1024], const uint8_t *from) {
  static const struct {
    uint8_t palette, zeros[15];
    uint16_t colsb[16];
    uint8_t rows[16];
  } config = {1, {0}, {64}, {16}};
  _tile_loadconfig(&config); /* relative to the instruction */
  register const uint8_t *low __asm__("rbx") = from, *high __asm__("r13") = from + 4096;
  register long eighth __asm__("r12") = 8;
#define COPY(load) \
  __asm__ volatile("tileloadd " load ", %%tmm0; tilestored %%tmm0, (%0,%1)" \
                   : : "r"(to++), "r"(64l), "r"(low), "r"(high), "r"(eighth), "r"(high - 8) : "memory")
  COPY("4096(%%rbx,%1)");
  COPY("0(%%r13,%%r12,8)");
  COPY("8(%5,%%r12,8)");
  COPY("-64(%%r13)"); /* no index: the same row 16 times */
}
