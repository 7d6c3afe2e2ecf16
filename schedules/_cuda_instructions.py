"""Instructions of NVIDIA GPUs that CUDA C++ has no operator for, as calls in TIR.

Each is a device function of a few lines, whose text travels with the call and is put before the kernels that need it.
"""

from __future__ import annotations

from tvm.ir import StringImm
from tvm.tirx import Evaluate, Stmt, call_intrin

from ._tir import Expr, at

_SOURCES = {
    "tvmopt_copy16": """
__forceinline__ __device__ void tvmopt_copy16(void *to, const void *from, bool inside, int otherwise) {
  if (!inside) {
    *(int4 *)to = make_int4(otherwise, otherwise, otherwise, otherwise);
    return;
  }
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16;" ::"r"((unsigned)__cvta_generic_to_shared(to)), "l"(from)
               : "memory");
#else
  *(int4 *)to = *(const int4 *)from;
#endif
}
""",
    "tvmopt_commit": """
__forceinline__ __device__ void tvmopt_commit() {
#if __CUDA_ARCH__ >= 800
  asm volatile("cp.async.commit_group;" ::: "memory");
#endif
}
""",
    "tvmopt_wait": """
#if __CUDA_ARCH__ >= 800
#define tvmopt_wait(groups) asm volatile("cp.async.wait_group %0;" ::"n"(groups) : "memory")
#else
#define tvmopt_wait(groups)
#endif
""",
    "tvmopt_ldmatrix": """
__forceinline__ __device__ void tvmopt_ldmatrix(int *r, const void *row) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"((unsigned)__cvta_generic_to_shared(row))
               : "memory");
}
""",
    "tvmopt_mma": """
__forceinline__ __device__ void tvmopt_mma(int *c, const int *a, const int *b) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.s8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
""",
    "tvmopt_mma_u8": """
__forceinline__ __device__ void tvmopt_mma_u8(int *c, const int *a, const int *b) {
  asm("mma.sync.aligned.m16n8k32.row.col.s32.u8.u8.s32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
""",
    "tvmopt_row_sum": """
__forceinline__ __device__ void tvmopt_row_sum(int *s) {
  *s += __shfl_xor_sync(0xffffffff, *s, 1);
  *s += __shfl_xor_sync(0xffffffff, *s, 2);
}
""",
    "tvmopt_column_sum": """
__forceinline__ __device__ void tvmopt_column_sum(int *s) {
  int sum = *s + __shfl_xor_sync(0xffffffff, *s, 1), first = threadIdx.x % 4 * 8;
  sum += __shfl_xor_sync(0xffffffff, sum, 2);
  s[0] = __shfl_sync(0xffffffff, sum, first);
  s[1] = __shfl_sync(0xffffffff, sum, first + 4);
}
""",
    "tvmopt_mma_sp": """
__forceinline__ __device__ void tvmopt_mma_sp(int *c, const int *a, const int *b, int e) {
  asm("mma.sp::ordered_metadata.sync.aligned.m16n8k64.row.col.s32.s8.u8.s32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9, %10, %11}, {%0, %1, %2, %3}, %12, 0;"
      : "+r"(c[0]), "+r"(c[1]), "+r"(c[2]), "+r"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]), "r"(b[2]), "r"(b[3]), "r"(e));
}
""",
    "tvmopt_dp4a": """
__forceinline__ __device__ void tvmopt_dp4a(int *c, int a, int b) {
  asm("dp4a.u32.s32 %0, %1, %2, %0;" : "+r"(*c) : "r"(a), "r"(b));
}
""",
    "tvmopt_dp4a_u8": """
__forceinline__ __device__ void tvmopt_dp4a_u8(int *c, int a, int b) {
  asm("dp4a.u32.u32 %0, %1, %2, %0;" : "+r"(*c) : "r"(a), "r"(b));
}
""",
    "tvmopt_move4": """
__forceinline__ __device__ void tvmopt_move4(void *to, const void *from) { *(int *)to = *(const int *)from; }
""",
    "tvmopt_move8": """
__forceinline__ __device__ void tvmopt_move8(void *to, const void *from) { *(int2 *)to = *(const int2 *)from; }
""",
    "tvmopt_move16": """
__forceinline__ __device__ void tvmopt_move16(void *to, const void *from) { *(int4 *)to = *(const int4 *)from; }
""",
}


def call(name: str, *args: Expr) -> Expr:
    """A call of ``tvmopt_<name>``, for its effect.

    copy16(to, from, inside, otherwise) : begins to copy 16 bytes from global to shared memory, or stores ``otherwise``
                                          in all their words where not ``inside``.
    commit(), wait(groups)  : closes a group of copies; waits until at most ``groups`` groups are under way.
    ldmatrix(r, row)        : four matrices of 8 x 16 bytes, whose rows lie where lanes 0-7, 8-15, ... say, to a word of
                              each for every lane.
    mma(c, a, b)            : c[16, 8] += a[16, 32] (u8) b[32, 8] (s8), spread over the warp; mma_u8: b is u8.
    mma_sp(c, a, b, e)      : c[16, 8] += a[16, 64] (s8, 2:4) b[64, 8] (u8); e says where a's pairs were.
    row_sum(s), column_sum(s) : what lanes have summed of their elements of a, or b, for mma: to the sum of a row for
                              the lanes that have its c; or of two columns, s[0] and s[1].
    dp4a(c, a, b)           : *c += the products of four u8 and four s8; dp4a_u8: of u8.
    move4(to, from), move8, move16 : so many bytes between registers and memory.
    """
    return call_intrin("", "tirx.cuda.func_call", f"tvmopt_{name}", *args, StringImm(_SOURCES[f"tvmopt_{name}"]))


def run(name: str, *args: Expr) -> Stmt:
    """The same as a statement."""
    return Evaluate(call(name, *args))


def add_bytes(sums: Expr, to: Expr, word: Expr) -> Stmt:
    """Add the four bytes of a word to ``sums[to]``."""
    return run("dp4a_u8", at(sums, to), word, 0x01010101)
