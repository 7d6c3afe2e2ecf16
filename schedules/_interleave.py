"""Tensor intrinsics of products with pixels side by side (see ``_forms`` and ``_sparse``)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from tvm.script import tirx as T
from tvm.tirx import Buffer, Expr
from tvm.tirx.script import builder

from ._forms import ROWS, Form
from ._intrinsics import register
from ._shuffles import bind, interleaved, picked, quarters, ramp, shuffle, transposed

COLUMNS = 16


@cache
def columns(form: Form, count: int) -> str:
    """``count`` columns of a tile's bytes, transposed, in the dtype that is multiplied: 16, or 32 of 64 rows."""
    pixels, byte, x = form.pixels, form.stored, form.x

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, b: T.handle) -> None:
        lead, stride = T.int32(), T.int32()
        A = T.match_buffer(a, (pixels, count), byte, strides=[lead, 1], offset_factor=1)
        B = T.match_buffer(b, (count, pixels), x, strides=[stride, 1], offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:pixels, 0:count])
            T.writes(B[0:count, 0:pixels])
            for k, p in T.grid(count, pixels):
                with T.sblock("element"):
                    vk, vp = T.axis.remap("SS", [k, p])
                    B[vk, vp] = _as(A[vp, vk], x)

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, b: T.handle) -> None:
        lead, stride = T.int32(), T.int32()
        A = T.match_buffer(a, (pixels, count), byte, strides=[lead, 1], offset_factor=1)
        B = T.match_buffer(b, (count, pixels), x, strides=[stride, 1], offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:pixels, 0:count])
            T.writes(B[0:count, 0:pixels])
            _columns(A, B)

    return register(f"tvmopt.columns.{form.name}.{count}", description, implementation)


def _as(value: Expr, dtype: str) -> Expr:
    return value.astype(dtype)


def _columns(a: Buffer, b: Buffer) -> None:
    """See ``columns``. Loads of 32 bytes are half as many; those of 64 would need more registers than there are."""
    count, pixels = (int(extent) for extent in b.shape)

    def loaded(rows: Sequence[int]) -> Expr:
        parts = [a.vload([row, 0], f"{a.dtype}x{count}") for row in rows]
        return bind(shuffle(parts, range(len(parts) * count)) if len(parts) > 1 else parts[0])

    def store(k: int, value: Expr) -> None:
        builder.buffer_store(b, T.cast(value, f"{b.dtype}x{pixels}"), [k, ramp(0, pixels)])

    if count == COLUMNS:
        rows = min(pixels, COLUMNS)
        for i, vector in enumerate(interleaved([loaded(range(row, pixels, rows)) for row in range(rows)])):
            if rows == COLUMNS:
                store(i, vector)
            else:
                for k in (0, 1):
                    store(2 * i + k, shuffle([vector], range(rows * k, rows * (k + 1))))
        return
    firsts = (range(i, i + COLUMNS) for i in (0, pixels // 2))
    upper, lower = (interleaved([loaded((i, i + COLUMNS)) for i in half]) for half in firsts)
    for k, pair in enumerate(zip(upper, lower, strict=True)):
        for i in (0, 1):
            store(i * COLUMNS + k, picked(*pair, i, i + 2))


@cache
def multiply_add(form: Form) -> str:
    """Sums of 4 outputs for a tile, in the order in which rows of inputs come when they are interleaved."""
    lanes, depth, pixels, x, w = form.lanes, form.depth, form.pixels, form.x, form.w

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (depth, pixels), x, offset_factor=1, scope="local")
        B = T.match_buffer(b, (ROWS, depth), w, offset_factor=1)
        C = T.match_buffer(c, (ROWS, pixels), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:ROWS, 0:pixels], A[0:depth, 0:pixels], B[0:ROWS, 0:depth])
            T.writes(C[0:ROWS, 0:pixels])
            for o, p, i in T.grid(ROWS, pixels, depth):
                with T.sblock("update"):
                    vo, vp, vi = T.axis.remap("SSR", [o, p, i])
                    C[vo, vp] = C[vo, vp] + T.cast(A[vi, _pixel(vp, lanes, depth)], "int32") * T.cast(
                        B[vo, vi], "int32"
                    )

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (depth, pixels), x, offset_factor=1, scope="local")
        B = T.match_buffer(b, (ROWS, depth), w, offset_factor=1)
        C = T.match_buffer(c, (ROWS, pixels), "int32", offset_factor=1, scope="local")
        with T.sblock("root"):
            T.reads(C[0:ROWS, 0:pixels], A[0:depth, 0:pixels], B[0:ROWS, 0:depth])
            T.writes(C[0:ROWS, 0:pixels])
            form.multiply_add(A, B, C)

    return register(f"tvmopt.steps.{form.name}", description, implementation)


def _pixel(place: Expr, lanes: int, depth: int) -> Expr:
    """Whose sum comes at a place when as many rows as ``depth`` are interleaved."""
    return place % lanes // 4 * (4 * depth) + place // lanes * 4 + place % 4


def _place(pixel: Expr, lanes: int, depth: int) -> Expr:
    """Where the sum of a pixel comes."""
    return pixel % (4 * depth) // 4 * lanes + pixel // (4 * depth) * 4 + pixel % 4


@cache
def narrow(form: Form, flip: int) -> str:
    """4 rows of a tile's int32 -> words of 4 bytes: plus [zero point], and clipped to [lowest, highest].

    flip : bits that change in each byte after that. Where they do, the limits are those of signed bytes.
    """
    pixels = form.pixels

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (ROWS, pixels), "int32", offset_factor=1, scope="local")
        B = T.match_buffer(b, (3,), "int32", offset_factor=1, scope="local")
        C = T.match_buffer(c, (1, pixels), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:ROWS, 0:pixels], B[0:3])
            T.writes(C[0, 0:pixels])
            for p in T.serial(pixels):
                with T.sblock("element"):
                    vp = T.axis.remap("S", [p])
                    C[0, vp] = (
                        _byte(A[0, vp], B, flip)
                        + T.shift_left(_byte(A[1, vp], B, flip), 8)
                        + T.shift_left(_byte(A[2, vp], B, flip), 16)
                        + T.shift_left(_byte(A[3, vp], B, flip), 24)
                    )

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, b: T.handle, c: T.handle) -> None:
        A = T.match_buffer(a, (ROWS, pixels), "int32", offset_factor=1, scope="local")
        B = T.match_buffer(b, (3,), "int32", offset_factor=1, scope="local")
        C = T.match_buffer(c, (1, pixels), "int32", offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:ROWS, 0:pixels], B[0:3])
            T.writes(C[0, 0:pixels])
            form.narrow(A, B, C, flip)

    return register(f"tvmopt.narrow.{form.name}.{flip}", description, implementation)


def _byte(value: Expr, limits: Buffer, flip: int) -> Expr:
    clipped = T.max(T.min(value + limits[0], limits[2]), limits[1])
    return T.bitwise_xor(T.bitwise_and(clipped, 255), flip)


@cache
def rows(form: Form, dtype: str, count: int) -> str:
    """``count`` (4 or ``lanes``) rows of a tile's words, in the order of ``multiply_add``, transposed: floats, or 4
    bytes of ``dtype`` each."""
    word, each = (dtype, 1) if dtype == "float32" else ("int32", 4)
    lanes, depth, pixels, width = form.lanes, form.depth, form.pixels, count * each

    @T.prim_func(s_tir=True, private=True)
    def description(a: T.handle, b: T.handle) -> None:
        lead, stride = T.int32(), T.int32()
        A = T.match_buffer(a, (count, pixels), word, strides=[lead, 1], offset_factor=1)
        B = T.match_buffer(b, (pixels, width), dtype, strides=[stride, 1], offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:count, 0:pixels])
            T.writes(B[0:pixels, 0:width])
            for p, o in T.grid(pixels, width):
                with T.sblock("element"):
                    vp, vo = T.axis.remap("SS", [p, o])
                    B[vp, vo] = _element(A, _place(vp, lanes, depth), vo, dtype)

    @T.prim_func(s_tir=True, private=True)
    def implementation(a: T.handle, b: T.handle) -> None:
        lead, stride = T.int32(), T.int32()
        A = T.match_buffer(a, (count, pixels), word, strides=[lead, 1], offset_factor=1)
        B = T.match_buffer(b, (pixels, width), dtype, strides=[stride, 1], offset_factor=1)
        with T.sblock("root"):
            T.reads(A[0:count, 0:pixels])
            T.writes(B[0:pixels, 0:width])
            _rows(A, B, lanes, depth)

    return register(f"tvmopt.rows.{form.name}.{count}.{dtype}", description, implementation)


def _element(a: Buffer, column: Expr, place: Expr, dtype: str) -> Expr:
    if dtype == "float32":
        return a[place, column]
    return T.cast(T.shift_right(a[place // 4, column], place % 4 * 8), dtype)


def _rows(a: Buffer, b: Buffer, lanes: int, depth: int) -> None:
    count, width = int(a.shape[0]), int(b.shape[1])
    with builder.serial(depth) as part:
        vectors = [bind(a.vload([i, part * lanes], f"{a.dtype}x{lanes}")) for i in range(count)]
        quads = [transposed(vectors[i : i + 4]) for i in range(0, count, 4)]  # quarter q of the v-th: place 4q + v
        for v in range(4):
            if count == 4:
                pixels = [shuffle([quads[0][v]], range(4 * q, 4 * q + 4)) for q in range(lanes // 4)]
            else:
                pixels = quarters([quad[v] for quad in quads])
            for q, pixel in enumerate(pixels):
                value = T.reinterpret(pixel, dtype=f"{b.dtype}x{width}")
                builder.buffer_store(b, value, [4 * depth * q + 4 * part + v, ramp(0, width)])
