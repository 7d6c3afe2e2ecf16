"""Tensor intrinsics that interleave vectors: products with pixels side by side (see ``_sparse``).

A form is the int32 ``lanes`` of a vector and the ``depth``, inputs that a multiply-add sums in each; a tile is a vector
of an input's elements, ``lanes * depth`` pixels. The only shuffles are unpacks (NEON's zip), one instruction each,
which interleave halves of every 128 bits.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from tvm import DataType
from tvm.script import tirx as T
from tvm.tirx import Buffer, Expr, Ramp, Shuffle, const
from tvm.tirx.script import builder

from . import _neon
from ._intrinsics import register, step

COLUMNS, ROWS = 16, 4

_PACKS = {16: "llvm.x86.avx512.{}.512", 8: "llvm.x86.avx2.{}"}


def stored(lanes: int) -> str:
    """The dtype of activations in memory."""
    return "int8" if lanes == _neon.LANES else "uint8"


def operands(lanes: int, depth: int) -> tuple[str, str]:
    """The dtypes of inputs and weights that are multiplied and summed in so many at a time."""
    return (stored(lanes), "int8") if depth == 4 else ("int16", "int16")


@cache
def columns(lanes: int, depth: int, count: int) -> str:
    """``count`` columns of a tile's bytes, transposed, in the dtype that is multiplied: 16, or 32 of 64 rows."""
    pixels, byte, (x, _) = lanes * depth, stored(lanes), operands(lanes, depth)

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

    return register(f"tvmopt.columns.{count}x{pixels}.{byte}.{x}", description, implementation)


def _as(value: Expr, dtype: str) -> Expr:
    return value.astype(dtype)


def _columns(a: Buffer, b: Buffer) -> None:
    """See ``columns``. Loads of 32 bytes are half as many; those of 64 would need more registers than there are."""
    count, pixels = (int(extent) for extent in b.shape)

    def loaded(rows: Sequence[int]) -> Expr:
        parts = [a.vload([row, 0], f"{a.dtype}x{count}") for row in rows]
        return _bind(shuffle(parts, range(len(parts) * count)) if len(parts) > 1 else parts[0])

    def store(k: int, value: Expr) -> None:
        builder.buffer_store(b, T.cast(value, f"{b.dtype}x{pixels}"), [k, _ramp(0, pixels)])

    if count == COLUMNS:
        for k, column in enumerate(_interleaved([loaded(range(i, pixels, COLUMNS)) for i in range(COLUMNS)])):
            store(k, column)
        return
    firsts = (range(i, i + COLUMNS) for i in (0, pixels // 2))
    upper, lower = (_interleaved([loaded((i, i + COLUMNS)) for i in half]) for half in firsts)
    for k, pair in enumerate(zip(upper, lower, strict=True)):
        for i in (0, 1):
            store(i * COLUMNS + k, _picked(*pair, i, i + 2))


def _interleaved(vectors: Sequence[Expr]) -> Sequence[Expr]:
    """Columns, of vectors that are 16 rows of bytes in every 128 bits."""
    for _ in range(4):
        pairs = zip(vectors[:8], vectors[8:], strict=True)
        vectors = [_bind(unpacked(x, y, 1, high)) for x, y in pairs for high in (False, True)]
    return vectors


@cache
def multiply_add(lanes: int, depth: int) -> str:
    """Sums of 4 outputs for a tile, in the order in which rows of inputs come when they are interleaved."""
    pixels, (x, w) = lanes * depth, operands(lanes, depth)

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
            _multiply_add(A, B, C, lanes)

    return register(f"tvmopt.steps.4x{pixels}.{depth}", description, implementation)


def _pixel(place: Expr, lanes: int, depth: int) -> Expr:
    """Whose sum comes at a place when as many rows as ``depth`` are interleaved."""
    return place % lanes // 4 * (4 * depth) + place // lanes * 4 + place % 4


def _place(pixel: Expr, lanes: int, depth: int) -> Expr:
    """Where the sum of a pixel comes."""
    return pixel % (4 * depth) // 4 * lanes + pixel // (4 * depth) * 4 + pixel % 4


def _multiply_add(a: Buffer, b: Buffer, c: Buffer, lanes: int) -> None:
    depth, pixels = (int(extent) for extent in a.shape)
    rows = [_bind(a.vload([i, 0], f"{a.dtype}x{pixels}")) for i in range(depth)]
    inputs = _transposed(rows) if depth == 4 else [_bind(unpacked(*rows, 1, high)) for high in (False, True)]
    neon = lanes == _neon.LANES
    four = _bind(T.reinterpret(b.vload([0, 0], "int8x16"), dtype="int32x4")) if neon else None  # sdot takes any of them
    for o in range(ROWS):
        if four is None:
            w = T.broadcast(T.reinterpret(b.vload([o, 0], f"{b.dtype}x{depth}"), dtype="int32"), lanes)
        else:
            w = shuffle([four], [o] * lanes)
        w = _bind(T.reinterpret(w, dtype=f"{b.dtype}x{pixels}"))
        for v, x in enumerate(inputs):
            sums = c.vload([o, v * lanes], f"int32x{lanes}")
            total = _neon.step(sums, x, w) if neon else step(lanes, depth, sums, x, w)
            builder.buffer_store(c, total, [o, _ramp(v * lanes, lanes)])


@cache
def narrow(lanes: int, depth: int, flip: int) -> str:
    """4 rows of a tile's int32 -> words of 4 bytes: plus [zero point], and clipped to [lowest, highest].

    flip : bits that change in each byte after that. Where they do, the limits are those of signed bytes.
    """
    pixels = lanes * depth

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
            _narrow_rows(A, B, C) if lanes == _neon.LANES else _narrow(A, B, C, lanes, flip)

    return register(f"tvmopt.narrow.4x{pixels}.{depth}.{flip}", description, implementation)


def _byte(value: Expr, limits: Buffer, flip: int) -> Expr:
    clipped = T.max(T.min(value + limits[0], limits[2]), limits[1])
    return T.bitwise_xor(T.bitwise_and(clipped, 255), flip)


def _narrow(a: Buffer, limits: Buffer, b: Buffer, lanes: int, flip: int) -> None:
    """See ``narrow``. Packing saturates to 16 bits first, which leaves room for the zero point, and takes 4 elements
    of each row in turn."""
    quarters = range(lanes // 4)
    order = [16 * quarter + 4 * row + pixel for quarter in quarters for pixel in range(4) for row in range(ROWS)]
    byte, pack = ("int8", "packsswb") if flip else ("uint8", "packuswb")
    zero_point = T.broadcast(T.cast(limits[0], "int16"), 2 * lanes)
    low, high = (T.broadcast(T.cast(limits[i], byte), 4 * lanes) for i in (1, 2))
    flipped = T.broadcast(const(flip, "uint8"), 4 * lanes)

    def packed(call: str, result: str, x: Expr, y: Expr) -> Expr:
        return T.call_llvm_pure_intrin(result, _PACKS[lanes].format(call), x, y)

    for first in range(0, int(a.shape[1]), lanes):
        rows = [a.vload([row, first], f"int32x{lanes}") for row in range(ROWS)]
        words = [packed("packssdw", f"int16x{2 * lanes}", *rows[i : i + 2]) for i in (0, 2)]
        moved = [T.call_llvm_pure_intrin(f"int16x{2 * lanes}", "llvm.sadd.sat", pair, zero_point) for pair in words]
        bytes_ = T.max(T.min(packed(pack, f"{byte}x{4 * lanes}", *moved), high), low)
        bytes_ = T.reinterpret(bytes_, dtype=f"uint8x{4 * lanes}") ^ flipped
        value = T.reinterpret(shuffle([bytes_], order), dtype=f"int32x{lanes}")
        builder.buffer_store(b, value, [0, _ramp(first, lanes)])


def _narrow_rows(a: Buffer, limits: Buffer, b: Buffer) -> None:
    """See ``narrow``. NEON narrows half a vector at a time, saturating too, which leaves elements in order."""
    pixels = int(a.shape[1])
    zero_point = T.broadcast(T.cast(limits[0], "int16"), 8)
    low, high = (T.broadcast(T.cast(limits[i], "int8"), pixels) for i in (1, 2))

    def bytes_(row: int) -> Expr:
        words = []
        for first in range(0, pixels, 8):
            parts = [_neon.narrow(a.vload([row, first + i], "int32x4")) for i in (0, 4)]
            words.append(T.call_llvm_pure_intrin("int16x8", "llvm.sadd.sat", shuffle(parts, range(8)), zero_point))
        return _bind(T.max(T.min(shuffle([_neon.narrow(word) for word in words], range(pixels)), high), low))

    for i, vector in enumerate(_transposed([bytes_(row) for row in range(ROWS)])):
        builder.buffer_store(b, T.reinterpret(vector, dtype="int32x4"), [0, _ramp(4 * i, 4)])


@cache
def rows(lanes: int, depth: int, dtype: str, count: int) -> str:
    """``count`` (4 or ``lanes``) rows of a tile's words, in the order of ``multiply_add``, transposed: floats, or 4
    bytes of ``dtype`` each."""
    word, each = (dtype, 1) if dtype == "float32" else ("int32", 4)
    pixels, width = lanes * depth, count * each

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

    return register(f"tvmopt.rows.{count}x{pixels}.{depth}.{dtype}", description, implementation)


def _element(a: Buffer, column: Expr, place: Expr, dtype: str) -> Expr:
    if dtype == "float32":
        return a[place, column]
    return T.cast(T.shift_right(a[place // 4, column], place % 4 * 8), dtype)


def _rows(a: Buffer, b: Buffer, lanes: int, depth: int) -> None:
    count, width = int(a.shape[0]), int(b.shape[1])
    with builder.serial(depth) as part:
        vectors = [_bind(a.vload([i, part * lanes], f"{a.dtype}x{lanes}")) for i in range(count)]
        quads = [_transposed(vectors[i : i + 4]) for i in range(0, count, 4)]  # quarter q of the v-th: place 4q + v
        for v in range(4):
            if count == 4:
                pixels = [shuffle([quads[0][v]], range(4 * q, 4 * q + 4)) for q in range(lanes // 4)]
            else:
                pixels = _quarters([quad[v] for quad in quads])
            for q, pixel in enumerate(pixels):
                value = T.reinterpret(pixel, dtype=f"{b.dtype}x{width}")
                builder.buffer_store(b, value, [4 * depth * q + 4 * part + v, _ramp(0, width)])


def _quarters(vectors: Sequence[Expr]) -> list[Expr]:
    """As many vectors as they have quarters of 128 bits, 4 or 2, transposed."""
    if len(vectors) == 2:
        return [_picked(*vectors, i) for i in (0, 1)]
    a, b, c, d = vectors
    halves = [(_picked(a, b, i, i + 1), _picked(c, d, i, i + 1)) for i in (0, 2)]
    return [_picked(x, y, i, i + 2) for x, y in halves for i in (0, 1)]


def _picked(x: Expr, y: Expr, *quarters: int) -> Expr:
    """Quarters of 128 bits of x, then the same of y."""
    dtype = DataType(str(x.ty))
    lanes, size = int(dtype.lanes), 128 // int(dtype.bits)
    own = [size * quarter + i for quarter in quarters for i in range(size)]
    return _bind(shuffle([x, y], own + [lanes + i for i in own]))


def _transposed(rows: Sequence[Expr]) -> list[Expr]:
    """Four vectors interleaved element by element, which stays in 128 bits: quarter q of vector v is place 4q + v."""
    pairs = [[_bind(unpacked(rows[i], rows[i + 1], 1, high)) for i in (0, 2)] for high in (False, True)]
    return [_bind(unpacked(x, y, 2, high)) for x, y in pairs for high in (False, True)]


def unpacked(x: Expr, y: Expr, unit: int, high: bool) -> Expr:
    """Low or high halves of every 128 bits of two vectors, ``unit`` elements of x and y in turn."""
    dtype = DataType(str(x.ty))
    lanes, half = int(dtype.lanes), 64 // int(dtype.bits)
    own = [first + half * high + i for first in range(0, lanes, 2 * half) for i in range(half)]
    units = [own[i : i + unit] for i in range(0, len(own), unit)]
    return shuffle([x, y], [i + other for part in units for other in (0, lanes) for i in part])


def shuffle(vectors: Sequence[Expr], indices: Sequence[int]) -> Expr:
    return Shuffle(vectors, [const(i, "int32") for i in indices])


def _bind(value: Expr) -> Expr:
    """A name for a value, which is used more than once but computed once."""
    return builder.Bind(value)


def _ramp(base: int, lanes: int) -> Expr:
    return Ramp(const(base, "int32"), const(1, "int32"), lanes)
