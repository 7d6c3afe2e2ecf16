"""Tensor intrinsics of AVX512 that interleave vectors, for products with pixels side by side (see ``_sparse``).

The only shuffles are unpacks, one instruction each, which interleave halves of every 128 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from tvm.script import tirx as T
from tvm.tirx import Buffer, Expr, Ramp, Shuffle, const
from tvm.tirx.script import builder

from ._intrinsics import register, step

PIXELS, LANES, ROWS, DEPTH = 64, 16, 4, 4


@cache
def columns() -> str:
    """16 columns of 64 rows of bytes, transposed."""

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, b: T.handle) -> None:
        lead, stride = T.int32(), T.int32()
        A = T.match_buffer(a, (PIXELS, LANES), "uint8", strides=[lead, 1], offset_factor=1)
        B = T.match_buffer(b, (LANES, PIXELS), "uint8", strides=[stride, 1], offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:PIXELS, 0:LANES])
            T.writes(B[0:LANES, 0:PIXELS])
            for k, p in T.grid(LANES, PIXELS):
                with T.sblock("element"):
                    vk, vp = T.axis.remap("SS", [k, p])
                    B[vk, vp] = A[vp, vk]

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, b: T.handle) -> None:
        lead, stride = T.int32(), T.int32()
        A = T.match_buffer(a, (PIXELS, LANES), "uint8", strides=[lead, 1], offset_factor=1)
        B = T.match_buffer(b, (LANES, PIXELS), "uint8", strides=[stride, 1], offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:PIXELS, 0:LANES])
            T.writes(B[0:LANES, 0:PIXELS])
            _columns(A, B)

    return register("tvmopt.columns.16x64", description, implementation)


def _place(pixel: Expr) -> Expr:
    """Where a pixel comes when 4 rows of bytes are interleaved, and the other way round."""
    return pixel % LANES // 4 * LANES + pixel // LANES * 4 + pixel % 4


def _columns(a: Buffer, b: Buffer) -> None:
    def quarters(i: int) -> Expr:
        rows = [a.vload([i + LANES * lane, 0], "uint8x16") for lane in range(4)]
        return _bind(shuffle(rows, range(PIXELS)))

    vectors = [quarters(i) for i in range(LANES)]
    for _ in range(4):
        pairs = zip(vectors[:8], vectors[8:], strict=True)
        vectors = [_bind(unpacked(x, y, 1, high)) for x, y in pairs for high in (False, True)]
    for k, vector in enumerate(vectors):
        builder.buffer_store(b, vector, [k, _ramp(0, PIXELS)])


@cache
def multiply_add() -> str:
    """Sums of 4 outputs for 64 pixels, in the order in which 4 rows of inputs come when they are interleaved."""

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (DEPTH, PIXELS), "uint8", offset_factor=1, scope="local")
        B = T.match_buffer(b, (ROWS, DEPTH), "int8", offset_factor=1)
        C = T.match_buffer(c, (ROWS, PIXELS), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:ROWS, 0:PIXELS], A[0:DEPTH, 0:PIXELS], B[0:ROWS, 0:DEPTH])
            T.writes(C[0:ROWS, 0:PIXELS])
            for o, p, i in T.grid(ROWS, PIXELS, DEPTH):
                with T.sblock("update"):
                    vo, vp, vi = T.axis.remap("SSR", [o, p, i])
                    C[vo, vp] = C[vo, vp] + T.cast(A[vi, _place(vp)], "int32") * T.cast(B[vo, vi], "int32")

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (DEPTH, PIXELS), "uint8", offset_factor=1, scope="local")
        B = T.match_buffer(b, (ROWS, DEPTH), "int8", offset_factor=1)
        C = T.match_buffer(c, (ROWS, PIXELS), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:ROWS, 0:PIXELS], A[0:DEPTH, 0:PIXELS], B[0:ROWS, 0:DEPTH])
            T.writes(C[0:ROWS, 0:PIXELS])
            _multiply_add(A, B, C)

    return register("tvmopt.quads.4x64", description, implementation)


def _multiply_add(a: Buffer, b: Buffer, c: Buffer) -> None:
    quads = _transposed([_bind(a.vload([i, 0], "uint8x64")) for i in range(DEPTH)])
    for o in range(ROWS):
        w = T.broadcast(T.reinterpret(b.vload([o, 0], "int8x4"), dtype="int32"), LANES)
        w = _bind(T.reinterpret(w, dtype="int8x64"))
        for v, x in enumerate(quads):
            total = step(LANES, DEPTH, c.vload([o, v * LANES], "int32x16"), x, w)
            builder.buffer_store(c, total, [o, _ramp(v * LANES, LANES)])


@cache
def narrow() -> str:
    """4 rows of 64 int32 -> 64 words of 4 bytes: plus a zero point, and clipped, by [zero point, lowest, highest]."""

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (ROWS, PIXELS), "int32", offset_factor=1, scope="local")
        B = T.match_buffer(b, (3,), "int32", offset_factor=1, scope="local")
        C = T.match_buffer(c, (1, PIXELS), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:ROWS, 0:PIXELS], B[0:3])
            T.writes(C[0, 0:PIXELS])
            for p in T.serial(PIXELS):
                with T.sblock("element"):
                    vp = T.axis.remap("S", [p])
                    C[0, vp] = (
                        T.max(T.min(A[0, vp] + B[0], B[2]), B[1])
                        + T.shift_left(T.max(T.min(A[1, vp] + B[0], B[2]), B[1]), 8)
                        + T.shift_left(T.max(T.min(A[2, vp] + B[0], B[2]), B[1]), 16)
                        + T.shift_left(T.max(T.min(A[3, vp] + B[0], B[2]), B[1]), 24)
                    )

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (ROWS, PIXELS), "int32", offset_factor=1, scope="local")
        B = T.match_buffer(b, (3,), "int32", offset_factor=1, scope="local")
        C = T.match_buffer(c, (1, PIXELS), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:ROWS, 0:PIXELS], B[0:3])
            T.writes(C[0, 0:PIXELS])
            _narrow(A, B, C)

    return register("tvmopt.narrow.4x64", description, implementation)


def _narrow(a: Buffer, limits: Buffer, b: Buffer) -> None:
    """See ``narrow``. Packing saturates to 16 bits first, which leaves room for the zero point, and takes 4 elements
    of each row in turn."""
    order = [16 * quarter + 4 * row + pixel for quarter in range(4) for pixel in range(4) for row in range(ROWS)]
    zero_point = T.broadcast(T.cast(limits[0], "int16"), 2 * LANES)
    low, high = (T.broadcast(T.cast(limits[i], "uint8"), PIXELS) for i in (1, 2))
    for first in range(0, PIXELS, LANES):
        rows = [a.vload([row, first], f"int32x{LANES}") for row in range(ROWS)]
        pairs = [T.call_llvm_pure_intrin("int16x32", "llvm.x86.avx512.packssdw.512", *rows[i : i + 2]) for i in (0, 2)]
        moved = [T.call_llvm_pure_intrin("int16x32", "llvm.sadd.sat", pair, zero_point) for pair in pairs]
        packed = T.call_llvm_pure_intrin("uint8x64", "llvm.x86.avx512.packuswb.512", *moved)
        value = shuffle([T.max(T.min(packed, high), low)], order)
        builder.buffer_store(b, T.reinterpret(value, dtype="int32x16"), [0, _ramp(first, LANES)])


@cache
def rows(dtype: str, count: int) -> str:
    """``count`` (4 or 16) rows of 64 words of 32 bits, in the order of ``multiply_add``, transposed: floats, or words
    of 4 bytes of ``dtype``."""
    word, each = (dtype, 1) if dtype == "float32" else ("int32", 4)
    width = count * each

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, b: T.handle) -> None:
        lead, stride = T.int32(), T.int32()
        A = T.match_buffer(a, (count, PIXELS), word, strides=[lead, 1], offset_factor=1)
        B = T.match_buffer(b, (PIXELS, width), dtype, strides=[stride, 1], offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:count, 0:PIXELS])
            T.writes(B[0:PIXELS, 0:width])
            for p, o in T.grid(PIXELS, width):
                with T.sblock("element"):
                    vp, vo = T.axis.remap("SS", [p, o])
                    B[vp, vo] = _element(A, _place(vp), vo, dtype)

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, b: T.handle) -> None:
        lead, stride = T.int32(), T.int32()
        A = T.match_buffer(a, (count, PIXELS), word, strides=[lead, 1], offset_factor=1)
        B = T.match_buffer(b, (PIXELS, width), dtype, strides=[stride, 1], offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:count, 0:PIXELS])
            T.writes(B[0:PIXELS, 0:width])
            _rows(A, B, word, dtype)

    return register(f"tvmopt.rows.{count}x64.{dtype}", description, implementation)


def _element(a: Buffer, column: Expr, place: Expr, dtype: str) -> Expr:
    if dtype == "float32":
        return a[place, column]
    return T.cast(T.shift_right(a[place // 4, column], place % 4 * 8), dtype)


def _rows(a: Buffer, b: Buffer, word: str, dtype: str) -> None:
    count, width = int(a.shape[0]), int(b.shape[1])
    with builder.serial(PIXELS // LANES) as part:
        vectors = [_bind(a.vload([i, part * LANES], f"{word}x{LANES}")) for i in range(count)]
        quads = [_transposed(vectors[i : i + 4]) for i in range(0, count, 4)]  # quarter q of the v-th: place 4q + v
        for v in range(4):
            if count == 4:
                pixels = [shuffle([quads[0][v]], range(4 * q, 4 * q + 4)) for q in range(4)]
            else:
                pixels = _quarters([quad[v] for quad in quads])
            for q, pixel in enumerate(pixels):
                value = T.reinterpret(pixel, dtype=f"{dtype}x{width}")
                builder.buffer_store(b, value, [LANES * q + 4 * part + v, _ramp(0, width)])


def _quarters(vectors: Sequence[Expr]) -> list[Expr]:
    """Four vectors of four quarters, transposed."""

    def pick(x: Expr, y: Expr, first: int, second: int) -> Expr:
        own = [4 * quarter + i for quarter in (first, second) for i in range(4)]
        return _bind(shuffle([x, y], own + [LANES + i for i in own]))

    a, b, c, d = vectors
    halves = [(pick(a, b, i, i + 1), pick(c, d, i, i + 1)) for i in (0, 2)]
    return [pick(x, y, i, i + 2) for x, y in halves for i in (0, 1)]


def _transposed(rows: Sequence[Expr]) -> list[Expr]:
    """Four vectors interleaved element by element, which stays in 128 bits: quarter q of vector v is place 4q + v."""
    pairs = [[_bind(unpacked(rows[i], rows[i + 1], 1, high)) for i in (0, 2)] for high in (False, True)]
    return [_bind(unpacked(x, y, 2, high)) for x, y in pairs for high in (False, True)]


def unpacked(x: Expr, y: Expr, unit: int, high: bool) -> Expr:
    """Low or high halves of every 128 bits of two vectors of 512, ``unit`` elements of x and y in turn."""
    lanes = int(str(x.ty).rpartition("x")[2])
    half = lanes // 8
    own = [2 * half * quarter + half * high + i for quarter in range(4) for i in range(half)]
    units = [own[i : i + unit] for i in range(0, len(own), unit)]
    return shuffle([x, y], [i + other for part in units for other in (0, lanes) for i in part])


def shuffle(vectors: Sequence[Expr], indices: Sequence[int]) -> Expr:
    return Shuffle(vectors, [const(i, "int32") for i in indices])


def _bind(value: Expr) -> Expr:
    """A name for a value, which is used more than once but computed once."""
    return builder.Bind(value)


def _ramp(base: int, lanes: int) -> Expr:
    return Ramp(const(base, "int32"), const(1, "int32"), lanes)
