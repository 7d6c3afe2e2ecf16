"""Columns of images for quads of depthwise sums (see ``_quads``): which are read, from where, and which are shifted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import product

from tvm.ir import Call, TensorLoad, Var
from tvm.script import tirx as T
from tvm.tirx import And, BufferLoad, Not, Ramp, const

from ._shuffles import shuffle
from ._tir import Expr, first_lanes, substitute, uses

QUAD, LANES, DEPTH = 64, 16, 4


@dataclass(frozen=True)
class Columns:
    """Columns of the input under the windows of a row's quads.

    Columns of pixels that are side by side in a quad, counted from the first one that a tile's windows cover, are
    gathered where a quad begins; those between are shifted from two that are.

    stride, dilation : steps of the window, and columns between taps.
    channels, elements : of a pixel of the input, and of the pixels that are taken as one.
    """

    stride: int
    dilation: int
    channels: int
    elements: int

    @property
    def apart(self) -> int:
        """Columns between quads of the same channels."""
        return self.stride * (self.elements // self.channels)

    @property
    def shared(self) -> bool:
        """Whether columns can be shifted: a quad is whole pixels, and one column is as far from the next as taps."""
        return self.channels < self.elements == QUAD and self.channels % DEPTH == 0 and self.dilation == 1

    def under(self, quads: int, taps: int) -> dict[int, list[tuple[int, int]]]:
        """Columns under so many neighbouring quads, in order, and whose window's tap each is: (quad, tap)."""
        under: dict[int, list[tuple[int, int]]] = {}
        for quad, tap in product(range(quads), range(taps)):
            under.setdefault(self.apart * quad + self.dilation * tap, []).append((quad, tap))
        return dict(sorted(under.items()))

    def sources(self, column: int) -> tuple[list[int], int]:
        """The columns that are gathered for a column, and by how many elements they are shifted then."""
        beside = column % self.apart // self.stride
        if not self.shared or not beside:
            return [column], 0
        begin = column - beside * self.stride
        return [begin, begin + self.apart], beside * self.channels

    def gathered(self, quads: int, taps: int) -> set[int]:
        """The columns that are gathered for so many neighbouring quads."""
        return {source for column in self.under(quads, taps) for source in self.sources(column)[0]}

    def kept(self, quads: int, taps: int) -> list[int]:
        """Columns of a tile of so many neighbouring quads that are some of the tile before, too."""
        gathered = self.gathered(quads, taps)
        return sorted(column for column in gathered if column + self.apart * quads in gathered)

    def order(self, behind: int) -> list[int]:
        """Of neighbouring elements from a column on, those of a quad's pixels that begins so many columns behind."""
        apart = [self.stride * (i // self.channels) + behind for i in range(QUAD)]
        return [self.channels * column + i % self.channels for i, column in enumerate(apart)]


def shifted(columns: Sequence[list[Expr]], elements: int) -> list[Expr]:
    """The four vectors of a column that is so many elements, a multiple of 4, behind the first of two quads'."""
    vectors = []
    for vector in range(DEPTH):
        lane, of = divmod(vector + elements // DEPTH, DEPTH)
        pair = [column[of] for column in columns]
        vectors.append(shuffle(pair, range(lane * LANES, lane * LANES + QUAD)) if lane else pair[0])
    return vectors


def read(x: Expr, at: Var, there: dict[Var, int], stride: int, beyond: bool) -> list[Expr]:
    """What 64 elements of a row of x are among; where some lie in the border, only the others are read.

    stride : between pixels, if they are side by side; beyond : the row may end before they do.
    """
    condition, load, border = x.args if isinstance(x, Call) else (None, x, T.uint8(0))
    terms = _terms(condition) if condition is not None else []
    above = [substitute(term, there) for term in terms if not uses(term, at)]
    first, channels = ramped(load, {at: 0, **there}, QUAD), int(load.source.shape[-1])
    if channels >= QUAD:
        values = [first]
    else:
        cut = beyond or len(above) < len(terms) or stride > 1
        values = [_part(first, begin, border, cut) for begin in range(0, QUAD * stride, QUAD)]
    if not above:
        return values
    return [T.if_then_else(reduce(And, above), value, T.broadcast(border, QUAD)) for value in values]


def _part(first: TensorLoad, begin: int, border: Expr, cut: bool) -> Expr:
    """The elements that lie ``begin`` behind ``first``; cut : by the ends of a row, beyond which is the border."""
    *outer, column, channel = first.indices
    width, channels = (int(extent) for extent in first.source.shape[-2:])
    value = BufferLoad(first.source, [*outer, column, Ramp(channel.base + begin, const(1, "int32"), QUAD)])
    if not cut:
        return value
    at, end = column * channels + channel.base + begin, width * channels
    inside = And(Not(first_lanes(QUAD, T.max(-at, 0))), first_lanes(QUAD, T.max(end - at, 0)))
    address = T.address_of(BufferLoad(first.source, [*outer, column, channel.base + begin]))
    masked = T.call_llvm_pure_intrin("uint8x64", "llvm.masked.load", address, inside, T.broadcast(border, QUAD))
    return T.if_then_else(And(at >= 0, at + QUAD <= end), value, masked)


def _terms(condition: Expr) -> list[Expr]:
    """What is true where ``condition`` is."""
    return [*_terms(condition.a), *_terms(condition.b)] if isinstance(condition, And) else [condition]


def ramped(load: TensorLoad, there: dict[Var, int], lanes: int) -> TensorLoad:
    """``lanes`` neighbours, from where ``load`` reads when axes are ``there``."""
    *outer, last = (substitute(index, there) for index in load.indices)
    return BufferLoad(load.source, [*outer, Ramp(last, const(1, "int32"), lanes)])
