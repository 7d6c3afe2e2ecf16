"""Instructions of AArch64, and tensor intrinsics of s8 x s8 products summed in fours, with dot product and without:
``acc[lane] += sum(x[i] * w[lane][i] for i in range(4))``."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from tvm import DataType
from tvm.script import tirx as T
from tvm.tirx import Buffer, Expr
from tvm.tirx.script import builder

from ._intrinsics import register

LANES = 4
"""int32 sums of a vector."""


def dot(lanes: int) -> str:
    """The same 4 elements of x for all lanes, a multiple of ``LANES``. Registers the intrinsic and gives its name."""
    return _broadcast(lanes, _dot)


def long(lanes: int) -> str:
    """The same without dot product: two products are added in 16 bits, which hold them where no weight is -128."""
    return _broadcast(lanes, _long)


@cache
def _broadcast(lanes: int, emit: Callable[[Buffer, Buffer, Buffer], None]) -> str:
    """See ``dot``. emit : the code for x, w and the sums."""

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4,), "int8", offset_factor=1)
        B = T.match_buffer(b, (lanes, 4), "int8", offset_factor=1)
        C = T.match_buffer(c, (lanes,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:4], B[0:lanes, 0:4])
            T.writes(C[0:lanes])
            for i, k in T.grid(lanes, 4):
                with T.sblock("update"):
                    vi, vk = T.axis.remap("SR", [i, k])
                    C[vi] = C[vi] + T.cast(A[vk], "int32") * T.cast(B[vi, vk], "int32")

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (4,), "int8", offset_factor=1)
        B = T.match_buffer(b, (lanes, 4), "int8", offset_factor=1)
        C = T.match_buffer(c, (lanes,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:4], B[0:lanes, 0:4])
            T.writes(C[0:lanes])
            emit(A, B, C)

    return register(f"tvmopt.neon.{emit.__name__}.{lanes}", description, implementation)


def _dot(x: Buffer, w: Buffer, sums: Buffer) -> None:
    four = _repeated(x, LANES)
    for first in range(0, int(sums.shape[0]), LANES):
        total = step(sums.vload([first], "int32x4"), four, w.vload([first, 0], "int8x16"))
        builder.buffer_store(sums, total, [T.ramp(first, 1, LANES)])


def _long(x: Buffer, w: Buffer, sums: Buffer) -> None:
    """Weights are loaded by halves of a vector: smull2 takes higher halves, but LLVM moves them down first."""
    four = builder.Bind(_repeated(x, LANES // 2))
    for first in range(0, int(sums.shape[0]), LANES):
        halves = (products(four, w.vload([first + i, 0], "int8x8")) for i in (0, LANES // 2))
        added = T.call_llvm_pure_intrin("int16x8", "llvm.aarch64.neon.addp.v8i16", *halves)
        builder.buffer_store(sums, sums.vload([first], "int32x4") + pairs(added), [T.ramp(first, 1, LANES)])


def _repeated(x: Buffer, count: int) -> Expr:
    """4 elements of x, ``count`` times."""
    four = T.reinterpret(x.vload([0], "int8x4"), dtype="int32")
    return T.reinterpret(T.broadcast(four, count), dtype=f"int8x{4 * count}")


def narrow(value: Expr) -> Expr:
    """Elements of 32 or 16 bits as half as many bits, saturated."""
    dtype = DataType(str(value.ty))
    lanes, bits = int(dtype.lanes), int(dtype.bits)
    call = f"llvm.aarch64.neon.sqxtn.v{lanes}i{bits // 2}"
    return T.call_llvm_pure_intrin(f"int{bits // 2}x{lanes}", call, value)


def step(acc: Expr, x: Expr, w: Expr) -> Expr:
    """The sums after one step: 4 elements of x and of w in every lane."""
    return T.call_llvm_pure_intrin("int32x4", "llvm.aarch64.neon.sdot.v4i32.v16i8", acc, x, w)


def products(x: Expr, w: Expr) -> Expr:
    """8 products of 8-bit elements, in 16 bits; added to another such vector they are smlal."""
    return T.call_llvm_pure_intrin("int16x8", "llvm.aarch64.neon.smull.v8i16", x, w)


def pairs(value: Expr) -> Expr:
    """Sums of neighbours of 16 bits, in 32 bits; added to a vector they are sadalp."""
    return T.call_llvm_pure_intrin("int32x4", "llvm.aarch64.neon.saddlp.v4i32.v8i16", value)
