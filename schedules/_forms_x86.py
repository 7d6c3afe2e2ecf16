"""Forms of x86: pairs by pmaddwd, fours by vpdpbusd."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tvm.script import tirx as T
from tvm.tirx import Buffer, Expr, const
from tvm.tirx.script import builder

from . import _intrinsics
from ._forms import ROWS, Form
from ._shuffles import bind, ramp, shuffle, transposed, unpacked

_PACKS = {16: "llvm.x86.avx512.{}.512", 8: "llvm.x86.avx2.{}", 4: "llvm.x86.sse2.{}.128"}


def of(lanes: int, depth: int) -> X86:
    """The form of the instruction set whose vectors have so many lanes."""
    return Sse2(lanes, depth) if lanes == 4 else X86(lanes, depth)


@dataclass(frozen=True)
class X86(Form):
    """AVX2, AVX512BW, AVX512-VNNI."""

    @property
    def stored(self) -> str:
        return "uint8"

    def inputs(self, rows: Sequence[Expr]) -> Sequence[Expr]:
        return transposed(rows) if self.depth == 4 else [bind(unpacked(*rows, 1, high)) for high in (False, True)]

    def weights(self, w: Buffer) -> Sequence[Expr]:
        four = [T.reinterpret(w.vload([o, 0], f"{w.dtype}x{self.depth}"), dtype="int32") for o in range(ROWS)]
        return [bind(T.reinterpret(T.broadcast(each, self.lanes), dtype=f"{w.dtype}x{self.pixels}")) for each in four]

    def step(self, sums: Expr, x: Expr, w: Expr) -> Expr:
        return _intrinsics.step(self.lanes, self.depth, sums, x, w)

    def narrow(self, rows: Buffer, limits: Buffer, words: Buffer, flip: int) -> None:
        """Packing takes 4 elements of each row in turn."""
        lanes, quarters = self.lanes, range(self.lanes // 4)
        order = [16 * quarter + 4 * row + pixel for quarter in quarters for pixel in range(4) for row in range(ROWS)]
        for first in range(0, self.pixels, lanes):
            loaded = [rows.vload([row, first], f"int32x{lanes}") for row in range(ROWS)]
            bytes_ = self.bytes_(*(self.moved(*loaded[i : i + 2], limits) for i in (0, 2)), limits, flip)
            value = T.reinterpret(shuffle([bytes_], order), dtype=f"int32x{lanes}")
            builder.buffer_store(words, value, [0, ramp(first, lanes)])

    def moved(self, x: Expr, y: Expr, limits: Buffer) -> Expr:
        """Two vectors as 16-bit elements, plus the zero point: packing saturates, which leaves room for it."""
        zero_point = T.broadcast(T.cast(limits[0], "int16"), 2 * self.lanes)
        packed = self._packed("packssdw", f"int16x{2 * self.lanes}", x, y)
        return T.call_llvm_pure_intrin(f"int16x{2 * self.lanes}", "llvm.sadd.sat", packed, zero_point)

    def bytes_(self, x: Expr, y: Expr, limits: Buffer, flip: int) -> Expr:
        """Two vectors of 16-bit elements as bytes, clipped and flipped."""
        byte, pack = ("int8", "packsswb") if flip else ("uint8", "packuswb")
        low, high = (T.broadcast(T.cast(limits[i], byte), 4 * self.lanes) for i in (1, 2))
        clipped = T.max(T.min(self._packed(pack, f"{byte}x{4 * self.lanes}", x, y), high), low)
        flipped = T.broadcast(const(flip, "uint8"), 4 * self.lanes)
        return T.reinterpret(clipped, dtype=f"uint8x{4 * self.lanes}") ^ flipped

    def _packed(self, call: str, result: str, x: Expr, y: Expr) -> Expr:
        return T.call_llvm_pure_intrin(result, _PACKS[self.lanes].format(call), x, y)


@dataclass(frozen=True)
class Sse2(X86):
    """SSE2 broadcasts and permutes registers only, and no bytes."""

    def weights(self, w: Buffer) -> Sequence[Expr]:
        four = bind(T.reinterpret(w.vload([0, 0], f"{w.dtype}x{ROWS * self.depth}"), dtype="int32x4"))
        return [bind(T.reinterpret(shuffle([four], [o] * 4), dtype=f"{w.dtype}x{self.pixels}")) for o in range(ROWS)]

    def narrow(self, rows: Buffer, limits: Buffer, words: Buffer, flip: int) -> None:
        """Bytes of two rows are in a vector each, in order, and interleaved by unpacks."""
        loaded = [[rows.vload([row, first], "int32x4") for first in (0, 4)] for row in range(ROWS)]
        moved = [self.moved(*parts, limits) for parts in loaded]
        pairs = [bind(self.bytes_(*moved[i : i + 2], limits, flip)) for i in (0, 2)]
        even, odd = (bind(unpacked(*pairs, 1, high)) for high in (False, True))
        for high in (False, True):
            value = T.reinterpret(unpacked(even, odd, 1, high), dtype="int32x4")
            builder.buffer_store(words, value, [0, ramp(4 * high, 4)])
