"""Vectors whose elements are put in another order, by few instructions: unpacks (NEON's zip) interleave the halves of
every 128 bits."""

from __future__ import annotations

from collections.abc import Sequence

from tvm import DataType
from tvm.tirx import Expr, Ramp, Shuffle, const
from tvm.tirx.script import builder


def interleaved(vectors: Sequence[Expr]) -> Sequence[Expr]:
    """Columns, of vectors that are 16 rows of bytes in every 128 bits; of 8 rows, two columns a vector."""
    half = len(vectors) // 2
    for _ in range(half.bit_length()):
        pairs = zip(vectors[:half], vectors[half:], strict=True)
        vectors = [bind(unpacked(x, y, 1, high)) for x, y in pairs for high in (False, True)]
    return vectors


def quarters(vectors: Sequence[Expr]) -> list[Expr]:
    """As many vectors as they have quarters of 128 bits, 4 or 2, transposed."""
    if len(vectors) == 2:
        return [picked(*vectors, i) for i in (0, 1)]
    a, b, c, d = vectors
    halves = [(picked(a, b, i, i + 1), picked(c, d, i, i + 1)) for i in (0, 2)]
    return [picked(x, y, i, i + 2) for x, y in halves for i in (0, 1)]


def picked(x: Expr, y: Expr, *quarters: int) -> Expr:
    """Quarters of 128 bits of x, then the same of y."""
    dtype = DataType(str(x.ty))
    lanes, size = int(dtype.lanes), 128 // int(dtype.bits)
    own = [size * quarter + i for quarter in quarters for i in range(size)]
    return bind(shuffle([x, y], own + [lanes + i for i in own]))


def transposed(rows: Sequence[Expr]) -> list[Expr]:
    """Four vectors interleaved element by element, which stays in 128 bits: quarter q of vector v is place 4q + v."""
    pairs = [[bind(unpacked(rows[i], rows[i + 1], 1, high)) for i in (0, 2)] for high in (False, True)]
    return [bind(unpacked(x, y, 2, high)) for x, y in pairs for high in (False, True)]


def unpacked(x: Expr, y: Expr, unit: int, high: bool) -> Expr:
    """Low or high halves of every 128 bits of two vectors, ``unit`` elements of x and y in turn."""
    dtype = DataType(str(x.ty))
    lanes, half = int(dtype.lanes), 64 // int(dtype.bits)
    own = [first + half * high + i for first in range(0, lanes, 2 * half) for i in range(half)]
    units = [own[i : i + unit] for i in range(0, len(own), unit)]
    return shuffle([x, y], [i + other for part in units for other in (0, lanes) for i in part])


def shuffle(vectors: Sequence[Expr], indices: Sequence[int]) -> Expr:
    return Shuffle(vectors, [const(i, "int32") for i in indices])


def bind(value: Expr) -> Expr:
    """A name for a value, which is used more than once but computed once."""
    return builder.Bind(value)


def ramp(base: int, lanes: int) -> Expr:
    return Ramp(const(base, "int32"), const(1, "int32"), lanes)
