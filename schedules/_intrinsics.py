"""Tensor intrinsics of x86: one step of a vector of int32 sums, ``acc[lane] += sum(x[i] * w[lane][i])``.

Our own: TVM's are slow to import and their VNNI call does not match LLVM's present signature.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from tvm.s_tir import TensorIntrin
from tvm.script import tirx as T
from tvm.tirx import Buffer, Expr, PrimFunc, Shuffle

_CALLS = {
    (16, 4): "llvm.x86.avx512.vpdpbusd.512",  # u8 x s8, AVX512-VNNI; wraps, never saturates
    (16, 2): "llvm.x86.avx512.pmaddw.d.512",  # s16 x s16, AVX512BW; only 2 * (-32768)**2 exceeds its sum
    (8, 2): "llvm.x86.avx2.pmadd.wd",
    (4, 2): "llvm.x86.sse2.pmadd.wd",
}
_OPERAND = {8: ("uint8", 255), 4: ("uint8", 255), 2: ("int16", 65535)}


@cache
def broadcast(lanes: int, depth: int, w: str) -> str:
    """The same ``depth`` elements of x for all lanes. Registers the intrinsic and gives its name."""
    if w == "int4":
        return _halves()
    x, _ = _OPERAND[depth]

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (depth,), x, offset_factor=1)
        B = T.match_buffer(b, (lanes, depth), w, offset_factor=1)
        C = T.match_buffer(c, (lanes,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:depth], B[0:lanes, 0:depth])
            T.writes(C[0:lanes])
            for i, k in T.grid(lanes, depth):
                with T.sblock("update"):
                    vi, vk = T.axis.remap("SR", [i, k])
                    C[vi] = C[vi] + T.cast(A[vk], "int32") * T.cast(B[vi, vk], "int32")

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (depth,), x, offset_factor=1)
        B = T.match_buffer(b, (lanes, depth), w, offset_factor=1)
        C = T.match_buffer(c, (lanes,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:depth], B[0:lanes, 0:depth])
            T.writes(C[0:lanes])
            C[T.ramp(T.int32(0), 1, lanes)] = step(
                lanes,
                depth,
                C.vload([0], dtype=f"int32x{lanes}"),
                T.broadcast(T.reinterpret(A.vload([0], f"{x}x{depth}"), dtype="int32"), lanes),
                B.vload([0, 0], dtype=f"{w}x{lanes * depth}"),
            )

    return register(f"tvmopt.broadcast.{lanes}.{depth}.{w}", description, implementation)


@cache
def neighbours(lanes: int, depth: int, w: str, count: int) -> str:
    """Elements of x for lanes in turn: ``depth`` each, of ``count`` neighbours. Registers it and gives its name."""
    x, _ = _OPERAND[depth]

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (count * depth,), x, offset_factor=1)
        B = T.match_buffer(b, (lanes, depth), w, offset_factor=1)
        C = T.match_buffer(c, (lanes,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0 : count * depth], B[0:lanes, 0:depth])
            T.writes(C[0:lanes])
            for i, k in T.grid(lanes, depth):
                with T.sblock("update"):
                    vi, vk = T.axis.remap("SR", [i, k])
                    C[vi] = C[vi] + T.cast(A[vi % count * depth + vk], "int32") * T.cast(B[vi, vk], "int32")

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (count * depth,), x, offset_factor=1)
        B = T.match_buffer(b, (lanes, depth), w, offset_factor=1)
        C = T.match_buffer(c, (lanes,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0 : count * depth], B[0:lanes, 0:depth])
            T.writes(C[0:lanes])
            C[T.ramp(T.int32(0), 1, lanes)] = step(
                lanes,
                depth,
                C.vload([0], dtype=f"int32x{lanes}"),
                _repeated(A.vload([0], f"{x}x{count * depth}"), count, lanes),
                B.vload([0, 0], dtype=f"{w}x{lanes * depth}"),
            )

    return register(f"tvmopt.neighbours.{lanes}.{depth}.{w}.{count}", description, implementation)


def _repeated(elements: Expr, count: int, lanes: int) -> Expr:
    """``count`` times 32 bits, over and over, in so many lanes."""
    return Shuffle([T.reinterpret(elements, dtype=f"int32x{count}")] * (lanes // count), list(range(lanes)))


def _halves() -> str:
    """8 elements of x, and weights of 4 bits and 8 higher: those of the first 4 in the lower halves of bytes."""

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (8,), "uint8", offset_factor=1)
        B = T.match_buffer(b, (16, 4), "int8", offset_factor=1)
        C = T.match_buffer(c, (16,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:16], A[0:8], B[0:16, 0:4])
            T.writes(C[0:16])
            for i, k in T.grid(16, 8):
                with T.sblock("update"):
                    vi, vk = T.axis.remap("SR", [i, k])
                    C[vi] = C[vi] + T.cast(A[vk], "int32") * (
                        T.bitwise_and(T.shift_right(T.cast(B[vi, vk % 4], "int32"), vk // 4 * 4), 15) - 8
                    )

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (8,), "uint8", offset_factor=1)
        B = T.match_buffer(b, (16, 4), "int8", offset_factor=1)
        C = T.match_buffer(c, (16,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:16], A[0:8], B[0:16, 0:4])
            T.writes(C[0:16])
            C[T.ramp(T.int32(0), 1, 16)] = _two_steps(A, B, C)

    return register("tvmopt.broadcast.16.8.int4", description, implementation)


def _two_steps(x: Buffer, w: Buffer, sums: Buffer) -> Expr:
    """See ``_halves``."""

    def every(value: int) -> Expr:
        return T.broadcast(T.uint8(value), 64)

    packed = T.reinterpret(w.vload([0, 0], dtype="int8x64"), dtype="uint8x64")
    total = sums.vload([0], dtype="int32x16")
    for place, half in ((0, packed & every(15)), (4, packed >> every(4))):
        weights = T.reinterpret(half - every(8), dtype="int8x64")
        four = T.broadcast(T.reinterpret(x.vload([place], "uint8x4"), dtype="int32"), 16)
        total = step(16, 4, total, four, weights)
    return total


@cache
def columns(lanes: int, depth: int, w: str) -> str:
    """``depth`` elements of x for every lane, side by side in its 32 bits. Registers it and gives its name."""
    _, mask = _OPERAND[depth]
    bits = 32 // depth

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (lanes,), "int32", offset_factor=1, scope="local")
        B = T.match_buffer(b, (lanes, depth), w, offset_factor=1)
        C = T.match_buffer(c, (lanes,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:lanes], B[0:lanes, 0:depth])
            T.writes(C[0:lanes])
            for i, k in T.grid(lanes, depth):
                with T.sblock("update"):
                    vi, vk = T.axis.remap("SR", [i, k])
                    C[vi] = C[vi] + T.bitwise_and(T.shift_right(A[vi], vk * bits), mask) * T.cast(B[vi, vk], "int32")

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (lanes,), "int32", offset_factor=1, scope="local")
        B = T.match_buffer(b, (lanes, depth), w, offset_factor=1)
        C = T.match_buffer(c, (lanes,), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:lanes], A[0:lanes], B[0:lanes, 0:depth])
            T.writes(C[0:lanes])
            C[T.ramp(T.int32(0), 1, lanes)] = step(
                lanes,
                depth,
                C.vload([0], dtype=f"int32x{lanes}"),
                A.vload([0], dtype=f"int32x{lanes}"),
                B.vload([0, 0], dtype=f"{w}x{lanes * depth}"),
            )

    return register(f"tvmopt.columns.{lanes}.{depth}.{w}", description, implementation)


@cache
def narrow(vectors: int) -> str:
    """2, 3 or 4 vectors of 16 int32 -> bytes, saturated to uint8. AVX512BW. Registers it and gives its name."""

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (16 * vectors,), "int32", offset_factor=1, scope="local")
        C = T.match_buffer(c, (16 * vectors,), "uint8", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0 : 16 * vectors])
            T.writes(C[0 : 16 * vectors])
            for i in T.grid(16 * vectors):
                with T.sblock("narrow"):
                    vi = T.axis.remap("S", [i])
                    C[vi] = T.Cast("uint8", T.max(T.min(A[vi], 255), 0))

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (16 * vectors,), "int32", offset_factor=1, scope="local")
        C = T.match_buffer(c, (16 * vectors,), "uint8", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0 : 16 * vectors])
            T.writes(C[0 : 16 * vectors])
            C[T.ramp(T.int32(0), 1, 16 * vectors)] = narrowed(
                [A.vload([first], "int32x16") for first in range(0, 16 * vectors, 16)]
            )

    return register(f"tvmopt.narrow.{vectors}", description, implementation)


@cache
def narrow_rows(rows: int, vectors: int, neighbours: int = 1) -> str:
    """The same of several rows, which are neighbours in memory: 2 to 4 vectors altogether.

    neighbours : pixels that have the lanes of a vector in turn, and then lie one after the other.
    """
    width, each = 16 * vectors, 16 * vectors // neighbours

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (rows, width), "int32", offset_factor=1, scope="local")
        C = T.match_buffer(c, (rows, width), "uint8", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:rows, 0:width])
            T.writes(C[0:rows, 0:width])
            for r, i in T.grid(rows, width):
                with T.sblock("narrow"):
                    vr, vi = T.axis.remap("SS", [r, i])
                    C[vr, vi] = T.Cast("uint8", T.max(T.min(A[vr, vi % each * neighbours + vi // each], 255), 0))

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (rows, width), "int32", offset_factor=1, scope="local")
        C = T.match_buffer(c, (rows, width), "uint8", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:rows, 0:width])
            T.writes(C[0:rows, 0:width])
            C[0, T.ramp(T.int32(0), 1, rows * width)] = narrowed(
                [A.vload([row, first], "int32x16") for row in range(rows) for first in range(0, width, 16)], neighbours
            )

    return register(f"tvmopt.narrow.{rows}.{vectors}.{neighbours}", description, implementation)


def narrowed(sums: Sequence[Expr], neighbours: int = 1) -> Expr:
    """See ``narrow_rows``. Packing works in quarters of a register, so what it leaves is in order by quarters first."""
    vectors = len(sums)
    words = [
        T.call_llvm_pure_intrin("int16x32", "llvm.x86.avx512.packssdw.512", sums[i], sums[min(i + 1, vectors - 1)])
        for i in range(0, vectors, 2)
    ]
    packed = T.call_llvm_pure_intrin("uint8x64", "llvm.x86.avx512.packuswb.512", words[0], words[-1])
    order = [vector + 4 * quarter for vector in range(vectors) for quarter in range(4)]
    whole = T.reinterpret(Shuffle([T.reinterpret(packed, dtype="int32x16")], order), dtype=f"uint8x{16 * vectors}")
    if neighbours == 1:
        return whole
    lanes = [lane for pixel in range(neighbours) for lane in range(pixel, 16, neighbours)]
    return Shuffle([whole], [16 * vector + lane for vector in range(vectors) for lane in lanes])


@cache
def interleave() -> str:
    """4 rows of 16 bytes, side by side for ``broadcast`` and 128 lower. Registers it and gives its name."""

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, c: T.handle) -> None:
        stride = T.int32()
        A = T.match_buffer(a, (4, 16), "uint8", strides=[stride, 1], offset_factor=1)
        C = T.match_buffer(c, (16, 4), "int8", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:4, 0:16])
            T.writes(C[0:16, 0:4])
            for lane, row in T.grid(16, 4):
                with T.sblock("pack"):
                    vl, vr = T.axis.remap("SS", [lane, row])
                    C[vl, vr] = T.Cast("int8", T.Cast("int32", A[vr, vl]) - 128)

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, c: T.handle) -> None:
        stride = T.int32()
        A = T.match_buffer(a, (4, 16), "uint8", strides=[stride, 1], offset_factor=1)
        C = T.match_buffer(c, (16, 4), "int8", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:4, 0:16])
            T.writes(C[0:16, 0:4])
            C[0, T.ramp(T.int32(0), 1, 64)] = _interleaved(A)

    return register("tvmopt.interleave", description, implementation)


def _interleaved(rows: Buffer) -> Expr:
    """See ``interleave``. To take off 128 is to flip the top bit."""
    vectors = [rows.vload([row, 0], dtype="uint8x16") for row in range(4)]
    mixed = Shuffle(vectors, [16 * row + lane for lane in range(16) for row in range(4)])
    return T.reinterpret(mixed ^ T.broadcast(T.uint8(128), 64), dtype="int8x64")


def step(lanes: int, depth: int, acc: Expr, x: Expr, w: Expr) -> Expr:
    """The sums after one step: x is int32 x lanes, ``depth`` elements in each."""
    call, sums = _CALLS[lanes, depth], f"int32x{lanes}"
    operand = T.reinterpret(x, dtype=f"{_OPERAND[depth][0]}x{lanes * depth}")
    if depth == 4:
        return T.call_llvm_pure_intrin(sums, call, acc, operand, w)
    return acc + T.call_llvm_pure_intrin(sums, call, operand, T.cast(w, f"int16x{lanes * depth}"))


def register(name: str, description: PrimFunc, implementation: PrimFunc) -> str:
    """Make a tensor intrinsic known to TVM; gives its name."""
    TensorIntrin.register(name, description, implementation)
    return name
