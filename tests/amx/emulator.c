/* Executes AMX instructions on CPUs without them, which raise SIGILL: a handler does what they mean and goes on behind.
 *
 * AMX-TILE and AMX-INT8 as in Intel's SDM, volume 1, chapter 18, and volume 2, whose names are used. Every thread has
 * tiles of its own. As Linux does, it wants a process to ask for the tile registers first; the library answers that
 * system call itself (when it is loaded with LD_PRELOAD, or called: arch_prctl goes through syscall()). What the CPU
 * would refuse ends the process by SIGILL, with a line on stderr.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

enum { TILES = 8, ROWS = 16, BYTES = 64, REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 };

typedef struct {
  uint8_t palette, start_row, reserved[14];
  uint16_t colsb[16];
  uint8_t rows[16];
} configuration;

static __thread configuration configured; /* palette 0: TILES_CONFIGURED = 0 */
static __thread uint8_t tiles[TILES][ROWS][BYTES];
static struct sigaction previous;
static atomic_int requests;

enum { LDTILECFG, STTILECFG, TILERELEASE, TILEZERO, TILELOADD, TILESTORED, TDP, KINDS };
static atomic_long counts[KINDS];

/* Instructions of a kind (see above) that all threads have executed. */
long amx_executed(int kind) { return atomic_load(&counts[kind]); }

/* How often the process has asked for the tile registers. */
int amx_requests(void) { return atomic_load(&requests); }

long syscall(long number, ...) {
  long args[6];
  va_list list;
  va_start(list, number);
  for (int i = 0; i < 6; ++i) args[i] = va_arg(list, long);
  va_end(list);
  if (number == SYS_arch_prctl && args[0] == REQUEST_PERMISSION && args[1] == TILE_DATA) {
    atomic_fetch_add(&requests, 1);
    return 0;
  }
  long (*next)(long, ...) = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
  return next(number, args[0], args[1], args[2], args[3], args[4], args[5]);
}

typedef struct {
  int opcode, prefix; /* 0: none, 1: 66, 2: F3, 3: F2 */
  int reg, rm, vvvv;  /* rm: of two registers */
  int memory;
  uint64_t address, stride;
  int length;
} instruction;

/* A VEX instruction of 128 bits, W0, in the map 0F38; 0 for anything else. */
static int decode(const uint8_t *code, const greg_t *registers, instruction *found) {
  static const int order[16] = {REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
                                REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15};
  if (code[0] != 0xC4 || (code[1] & 0x1F) != 2 || code[2] & 0x84) return 0;
  const int r = ~code[1] >> 4 & 8, x = ~code[1] >> 3 & 8, b = ~code[1] >> 2 & 8;
  const int mod = code[4] >> 6, low = code[4] & 7;
  *found = (instruction){.opcode = code[3], .prefix = code[2] & 3, .vvvv = ~code[2] >> 3 & 15};
  found->reg = (code[4] >> 3 & 7) | r;
  found->rm = low | b;
  found->memory = mod != 3;
  const uint8_t *rest = code + 5;
  if (found->memory) {
    int base = found->rm, relative = 0;
    if (low == 4) { /* SIB; the index is a stride for tiles */
      const int index = (*rest >> 3 & 7) | x;
      base = (*rest & 7) | b;
      if (index != 4) found->stride = (uint64_t)registers[order[index]] << (*rest >> 6);
      ++rest;
    }
    const int absent = mod == 0 && (base & 7) == 5;
    if (absent) {
      relative = low != 4;
    } else {
      found->address = (uint64_t)registers[order[base]];
    }
    if (mod == 2 || absent) {
      int32_t displacement;
      memcpy(&displacement, rest, 4);
      rest += 4;
      found->address += (uint64_t)(int64_t)displacement;
    } else if (mod == 1) {
      found->address += (uint64_t)(int64_t)(int8_t)*rest++;
    }
    if (relative) found->address += (uint64_t)rest;
  }
  found->length = (int)(rest - code);
  return 1;
}

static const char *configure(const configuration *wanted) {
  if (wanted->palette > 1) return "LDTILECFG: no such palette";
  if (wanted->palette) {
    for (int i = 0; i < 14; ++i) {
      if (wanted->reserved[i]) return "LDTILECFG: reserved bytes are set";
    }
    for (int i = 0; i < 16; ++i) {
      if (i >= TILES && (wanted->rows[i] || wanted->colsb[i])) return "LDTILECFG: there are 8 tiles";
      if (wanted->rows[i] > ROWS || wanted->colsb[i] > BYTES) return "LDTILECFG: a tile has 16 rows of 64 bytes at most";
      if (!wanted->rows[i] != !wanted->colsb[i]) return "LDTILECFG: a tile has rows and no bytes, or bytes and no rows";
    }
    configured = *wanted;
  } else {
    memset(&configured, 0, sizeof configured);
  }
  memset(tiles, 0, sizeof tiles);
  return 0;
}

static int valid(int tile) { return tile < TILES && configured.rows[tile]; }

static void clear_behind(int tile, int from) { memset(tiles[tile][from], 0, (size_t)(ROWS - from) * BYTES); }

static void load(int tile, const uint8_t *memory, uint64_t stride) {
  const int bytes = configured.colsb[tile];
  for (int row = configured.start_row; row < configured.rows[tile]; ++row) {
    memcpy(tiles[tile][row], memory + (uint64_t)row * stride, (size_t)bytes);
    memset(tiles[tile][row] + bytes, 0, (size_t)(BYTES - bytes));
  }
  clear_behind(tile, configured.rows[tile]);
  configured.start_row = 0;
}

static void store(int tile, uint8_t *memory, uint64_t stride) {
  for (int row = configured.start_row; row < configured.rows[tile]; ++row) {
    memcpy(memory + (uint64_t)row * stride, tiles[tile][row], configured.colsb[tile]);
  }
  configured.start_row = 0;
}

/* prefix 0: u8 x u8, 1: u8 x s8, 2: s8 x u8, 3: s8 x s8. */
static const char *dot(int c, int a, int b, int prefix) {
  if (c == a || c == b || a == b) return "TDP: the same tile twice";
  if (!valid(c) || !valid(a) || !valid(b)) return "TDP: a tile is not configured";
  const int rows = configured.rows[c], columns = configured.colsb[c], depth = configured.colsb[a];
  if (columns % 4 || depth % 4 || configured.colsb[b] % 4) return "TDP: rows are no multiple of 4 bytes";
  if (configured.rows[a] != rows || configured.rows[b] != depth / 4 || configured.colsb[b] != columns)
    return "TDP: the shapes of the tiles do not match";
  for (int m = 0; m < rows; ++m) {
    int32_t sums[16];
    memcpy(sums, tiles[c][m], BYTES);
    for (int k = 0; k < depth / 4; ++k) {
      int32_t left[4];
      for (int i = 0; i < 4; ++i) {
        const uint8_t byte = tiles[a][m][4 * k + i];
        left[i] = prefix & 2 ? (int8_t)byte : byte;
      }
      for (int n = 0; n < columns / 4; ++n) {
        const uint8_t *right = tiles[b][k] + 4 * n;
        int32_t sum = 0;
        for (int i = 0; i < 4; ++i) sum += left[i] * (prefix & 1 ? (int8_t)right[i] : right[i]);
        sums[n] = (int32_t)((uint32_t)sums[n] + (uint32_t)sum);
      }
    }
    memcpy(tiles[c][m], sums, (size_t)columns);
  }
  clear_behind(c, rows);
  configured.start_row = 0;
  return 0;
}

/* What the instruction does: 0 when it is done, otherwise why the CPU would refuse it. */
static const char *execute(const instruction *found) {
  uint8_t *const memory = (uint8_t *)found->address;
  if (!atomic_load(&requests)) return "the process has not asked for the tile registers";
  if (found->opcode == 0x49 && found->memory) {
    if (found->prefix == 0) {
      ++counts[LDTILECFG];
      return configure((const configuration *)memory);
    }
    ++counts[STTILECFG];
    memcpy(memory, &configured, sizeof configured);
    return 0;
  }
  if (found->opcode == 0x49 && found->prefix == 0) {
    ++counts[TILERELEASE];
    return configure(&(configuration){0});
  }
  if (!configured.palette) return "the tiles are not configured";
  if (found->opcode == 0x5E) {
    ++counts[TDP];
    return dot(found->reg, found->rm, found->vvvv, found->prefix);
  }
  if (!valid(found->reg)) return "the tile is not configured";
  if (found->opcode == 0x49) {
    ++counts[TILEZERO];
    clear_behind(found->reg, 0);
    configured.start_row = 0;
  } else if (found->prefix == 2) {
    ++counts[TILESTORED];
    store(found->reg, memory, found->stride);
  } else {
    ++counts[TILELOADD];
    load(found->reg, memory, found->stride);
  }
  return 0;
}

/* Whether it is one of: 49 of memory (none, 66), 49 of a register (none, F2), 4B of memory (not none), 5E of registers. */
static int known(const instruction *found) {
  switch (found->opcode) {
    case 0x49: return found->memory ? found->prefix < 2 : found->prefix == 0 || found->prefix == 3;
    case 0x4B: return found->memory && found->prefix != 0;
    case 0x5E: return !found->memory;
    default: return 0;
  }
}

static void on_illegal(int number, siginfo_t *info, void *context) {
  (void)number;
  greg_t *const registers = ((ucontext_t *)context)->uc_mcontext.gregs;
  instruction found;
  if (!decode((const uint8_t *)registers[REG_RIP], registers, &found) || !known(&found)) {
    sigaction(SIGILL, &previous, 0); /* executed again, for whoever was here before */
    return;
  }
  const char *const refused = execute(&found);
  if (refused) {
    const char *const parts[] = {"AMX: ", refused, "\n"};
    for (int i = 0; i < 3; ++i) (void)!write(STDERR_FILENO, parts[i], strlen(parts[i]));
    signal(SIGILL, SIG_DFL);
    return;
  }
  (void)info;
  registers[REG_RIP] += found.length;
}

__attribute__((constructor)) static void start(void) {
  struct sigaction action = {.sa_sigaction = on_illegal, .sa_flags = SA_SIGINFO | SA_NODEFER};
  sigaction(SIGILL, &action, &previous);
}
