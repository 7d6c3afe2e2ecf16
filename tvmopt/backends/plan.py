"""Memory planning: where in one arena each buffer lies, so that buffers alive together never overlap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

# Placements tried after the first before the best one found is taken; each costs O(buffers^2).
_ATTEMPTS = 64


@dataclass(frozen=True)
class Buffer:
    """A span of memory that is needed for a while.

    Attributes
    ----------
    name    : for the report.
    size    : bytes.
    first   : the step that writes it first.
    last    : the last step that uses it (>= first; both steps included).
    traffic : bytes that all steps together read from it and write to it.
    """

    name: str
    size: int
    first: int
    last: int
    traffic: int = 0


@dataclass(frozen=True)
class Plan:
    """Buffers placed in one arena.

    Attributes
    ----------
    buffers     : in the order given.
    offsets     : byte offset of each, a multiple of ``alignment``.
    alignment   : bytes; of the offsets and of the arena itself.
    size        : bytes of the arena.
    lower_bound : bytes alive at the busiest step (sizes rounded up to the alignment): no plan can be smaller.
    """

    buffers: tuple[Buffer, ...]
    offsets: tuple[int, ...]
    alignment: int
    size: int
    lower_bound: int

    def report(self) -> str:
        """Who lives where and when: one line per buffer, by offset."""
        header = f"arena {self.size} bytes, at least {self.lower_bound}, aligned to {self.alignment}"
        rows = sorted(zip(self.offsets, self.buffers, strict=True), key=lambda row: (row[0], row[1].first))
        lines = [f"{offset:>9} {b.size:>9} {b.first:>5}..{b.last:<5} {b.name}" for offset, b in rows]
        return "\n".join([header, "   offset     bytes  steps       buffer", *lines])


def place(buffers: Sequence[Buffer], alignment: int, enough: int = 0) -> Plan:
    """Give every buffer an offset; buffers whose steps overlap get disjoint bytes.

    enough : an arena of this many bytes is small enough, none smaller is looked for.

    Greedy: in a given order, each buffer takes the tightest gap between those already placed that live at
    the same time (best fit). The first order is by size; while the arena is larger than the lower bound,
    the buffer that reaches highest is moved to the front and the placement is done again, as in iterated
    greedy scheduling. Deterministic.
    """
    sizes = _sizes(buffers, alignment)
    bound = lower_bound(buffers, alignment)
    together = [
        [j for j, c in enumerate(buffers) if j != i and b.first <= c.last and c.first <= b.last]
        for i, b in enumerate(buffers)
    ]
    order = sorted(range(len(buffers)), key=lambda i: (-sizes[i], buffers[i].first))
    best, height = _fit(order, sizes, together)
    offsets = best
    seen: set[tuple[int, ...]] = set()
    for _ in range(_ATTEMPTS):
        if height <= max(bound, enough) or tuple(order) in seen:
            break
        seen.add(tuple(order))
        top = max(order, key=lambda i: (offsets[i] + sizes[i], sizes[i]))
        order = [top, *(i for i in order if i != top)]
        offsets, reached = _fit(order, sizes, together)
        if reached < height:
            best, height = offsets, reached
    return Plan(tuple(buffers), tuple(best), alignment, height, bound)


def lower_bound(buffers: Sequence[Buffer], alignment: int) -> int:
    """Bytes alive at the busiest step."""
    sizes = _sizes(buffers, alignment)
    return max((_alive(buffers, sizes, b.first) for b in buffers), default=0)


def _sizes(buffers: Sequence[Buffer], alignment: int) -> list[int]:
    return [-(-b.size // alignment) * alignment for b in buffers]


def _alive(buffers: Sequence[Buffer], sizes: list[int], step: int) -> int:
    return sum(size for b, size in zip(buffers, sizes, strict=True) if b.first <= step <= b.last)


def _fit(order: list[int], sizes: list[int], together: list[list[int]]) -> tuple[list[int], int]:
    """Place buffers in ``order``: their offsets, and the size of the arena they need."""
    offsets = [-1] * len(sizes)
    for i in order:
        taken = sorted((offsets[j], offsets[j] + sizes[j]) for j in together[i] if offsets[j] >= 0)
        offsets[i] = _tightest(taken, sizes[i])
    return offsets, max((o + n for o, n in zip(offsets, sizes, strict=True)), default=0)


def _tightest(taken: list[tuple[int, int]], size: int) -> int:
    """Start of the smallest gap between ``taken`` (sorted) that holds ``size`` bytes, else the end of all."""
    best, room = -1, 0
    end = 0
    for begin, finish in taken:
        gap = begin - end
        if gap >= size and (best < 0 or gap < room):
            best, room = end, gap
        end = max(end, finish)
    return end if best < 0 else best
