"""Instructions of AArch64, and the tensor intrinsic of its dot product, s8 x s8:
``acc[lane] += sum(x[i] * w[lane][i] for i in range(4))``."""

from __future__ import annotations

from functools import cache

from tvm import DataType
from tvm.script import tirx as T
from tvm.tirx import Buffer, Expr
from tvm.tirx.script import builder

from ._intrinsics import register

LANES = 4
"""int32 sums of a vector."""


@cache
def broadcast(lanes: int) -> str:
    """The same 4 elements of x for all lanes, a multiple of ``LANES``. Registers the intrinsic and gives its name."""

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
            _broadcast(A, B, C)

    return register(f"tvmopt.neon.broadcast.{lanes}", description, implementation)


def _broadcast(x: Buffer, w: Buffer, sums: Buffer) -> None:
    four = T.broadcast(T.reinterpret(x.vload([0], "int8x4"), dtype="int32"), LANES)
    for first in range(0, int(sums.shape[0]), LANES):
        total = step(sums.vload([first], "int32x4"), four, w.vload([first, 0], "int8x16"))
        builder.buffer_store(sums, total, [T.ramp(first, 1, LANES)])


def narrow(value: Expr) -> Expr:
    """Elements of 32 or 16 bits as half as many bits, saturated."""
    dtype = DataType(str(value.ty))
    lanes, bits = int(dtype.lanes), int(dtype.bits)
    call = f"llvm.aarch64.neon.sqxtn.v{lanes}i{bits // 2}"
    return T.call_llvm_pure_intrin(f"int{bits // 2}x{lanes}", call, value)


def step(acc: Expr, x: Expr, w: Expr) -> Expr:
    """The sums after one step: 4 elements of x and of w in every lane."""
    operands = (T.reinterpret(each, dtype="int8x16") for each in (x, w))
    return T.call_llvm_pure_intrin("int32x4", "llvm.aarch64.neon.sdot.v4i32.v16i8", acc, *operands)


def products(x: Expr, w: Expr) -> Expr:
    """8 products of 8-bit elements, in 16 bits; added to another such vector they are smlal."""
    return T.call_llvm_pure_intrin("int16x8", "llvm.aarch64.neon.smull.v8i16", x, w)


def pairs(value: Expr) -> Expr:
    """Sums of neighbours of 16 bits, in 32 bits; added to a vector they are sadalp."""
    return T.call_llvm_pure_intrin("int32x4", "llvm.aarch64.neon.saddlp.v4i32.v8i16", value)
