"""Forms of AArch64: fours of s8 x s8 by sdot, or by products of 16 bits where there is no dot product."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm.script import tirx as T
from tvm.tirx import Buffer, Expr
from tvm.tirx.script import builder

from . import _neon
from ._forms import ROWS, Form
from ._shuffles import bind, ramp, shuffle, transposed, unpacked


@dataclass(frozen=True)
class Neon(Form):
    """What both have."""

    lanes: int = _neon.LANES
    depth: int = 4

    @property
    def stored(self) -> str:
        return "int8"

    def narrow(self, rows: Buffer, limits: Buffer, words: Buffer, flip: int) -> None:
        """Half a vector is narrowed at a time, saturating, which leaves elements in order. No bit is flipped."""
        low, high = (T.broadcast(T.cast(limits[i], "int8"), self.pixels) for i in (1, 2))
        zero_point = T.broadcast(T.cast(limits[0], "int16"), 8)

        def bytes_(row: int) -> Expr:
            parts = [_neon.narrow(rows.vload([row, first], "int32x4")) for first in range(0, self.pixels, 4)]
            halves = [shuffle(parts[i : i + 2], range(8)) for i in (0, 2)]
            moved = [T.call_llvm_pure_intrin("int16x8", "llvm.sadd.sat", half, zero_point) for half in halves]
            narrowed = shuffle([_neon.narrow(half) for half in moved], range(self.pixels))
            return bind(T.max(T.min(narrowed, high), low))

        for i, vector in enumerate(transposed([bytes_(row) for row in range(ROWS)])):
            builder.buffer_store(words, T.reinterpret(vector, dtype="int32x4"), [0, ramp(4 * i, 4)])


class Dot(Neon):
    """sdot sums four products in a lane."""

    def inputs(self, rows: Sequence[Expr]) -> Sequence[Expr]:
        return transposed(rows)

    def weights(self, w: Buffer) -> Sequence[Expr]:
        four = bind(T.reinterpret(w.vload([0, 0], "int8x16"), dtype="int32x4"))  # sdot takes any of its lanes
        return [bind(T.reinterpret(shuffle([four], [o] * 4), dtype="int8x16")) for o in range(ROWS)]

    def step(self, sums: Expr, x: Expr, w: Expr) -> Expr:
        return _neon.step(sums, x, w)


class Long(Neon):
    """smull and smlal sum two products in 16 bits, which hold them where no weight is -128; sadalp adds neighbours.

    16 products in three instructions, where smlal into 32 bits makes four in one.
    """

    def inputs(self, rows: Sequence[Expr]) -> Sequence[tuple[Expr, ...]]:
        zipped = [[bind(unpacked(*rows[i : i + 2], 1, high)) for i in (0, 2)] for high in (False, True)]
        return [
            tuple(shuffle([pair], range(first, first + 8)) for pair in pairs) for pairs in zipped for first in (0, 8)
        ]

    def weights(self, w: Buffer) -> Sequence[tuple[Expr, ...]]:
        pairs = bind(T.reinterpret(w.vload([0, 0], "int8x16"), dtype="int16x8"))
        repeated = [bind(T.reinterpret(shuffle([pairs], [i] * 4), dtype="int8x8")) for i in range(2 * ROWS)]
        return [tuple(repeated[i : i + 2]) for i in range(0, 2 * ROWS, 2)]

    def step(self, sums: Expr, x: tuple[Expr, ...], w: tuple[Expr, ...]) -> Expr:
        first, second = (_neon.products(*operands) for operands in zip(x, w, strict=True))
        return sums + _neon.pairs(first + second)
