"""Depthwise convolutions on a GPU: a thread computes four channels of some neighbouring pixels of a row.

for threads: rows, groups of pixels, groups of channels
    for rows of the window:
        registers = what the pixels' windows have of the row, weights         # 4 bytes at once; read once for all
        sums[pixel][channel] += registers * weights
    out[pixels][channels] = epilogue(sums)
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import SBlockRV
from tvm.target import Target
from tvm.tirx import PrimFunc

from ._common import Decisions, Product, extents, find
from ._cuda_tile import WARP

THREADS = 128
"""Of a block, at most."""

CHANNELS = 4
"""Of a thread."""

PIXELS = 8
"""Of a thread, at most: 32 sums."""


class Rule:
    """See the module's text."""

    version = 1

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | None:
        """The schedule of ``func``; None for anything else, for channels that are no multiple of 4, and where threads
        cannot be shared out evenly."""
        product = Product.of(func)
        if product is None or product.op != "depthwise":
            return None
        sch = Schedule(func)
        acc, out = sch.get_sblock("acc"), sch.get_sblock("out")
        *_, width, channels = extents(sch, out)
        if channels % CHANNELS:
            return None
        decisions = Decisions(sch, tunable)
        fits = [count for count in _divisors(width) if count <= PIXELS]
        pixels = decisions.pick("pixels", max(count for count in fits if count <= PIXELS // 2), fits)
        most = decisions.pick("threads", THREADS, (64, 128, 256))
        threads = _share([*extents(sch, out)[:-2], width // pixels, channels // CHANNELS], most)
        if threads < WARP:
            return None
        *above, column, channel = sch.get_loops(out)
        column, pixel = sch.split(column, [None, pixels])
        channel, lane = sch.split(channel, [None, CHANNELS])
        sch.reorder(*above, column, channel, pixel, lane)
        block, thread = sch.split(sch.fuse(*above, column, channel), [None, threads])
        sch.bind(block, "blockIdx.x")
        sch.bind(thread, "threadIdx.x")
        sch.compute_at(acc, thread, preserve_unit_loops=True)
        sch.set_scope(acc, 0, "local")
        *_, own_pixel, own_lane, row, tap = sch.get_loops(acc)
        sch.reorder(row, tap, own_pixel, own_lane)
        x = find(sch, "stage")
        x = sch.cache_read(acc, 0, "local") if x is None else x
        sch.set_scope(x, 0, "local")
        for read in (x, sch.cache_read(acc, 1, "local")):
            sch.compute_at(read, row, preserve_unit_loops=True)
            *loops, last = sch.get_loops(read)[2:]
            sch.vectorize(last)
            for loop in loops[1:]:
                sch.unroll(loop)
        for loop in (row, tap, own_pixel, own_lane, pixel):
            sch.unroll(loop)
        sch.vectorize(lane)
        _unrolled(sch, sch.decompose_reduction(acc, row))
        return sch


def _share(space: Sequence[int], most: int) -> int:
    """How many threads a block has for so many in all: several of an axis, and all of those below it.

    A thread beyond the last would read beyond the input, and other divisors TVM takes for no affine index.
    """
    below = (prod(space[axis + 1 :]) for axis in range(len(space)))
    shares = {count * part for count, extent in zip(below, space, strict=True) for part in _divisors(extent)}
    return max((share for share in shares if share <= most), key=lambda share: (share % WARP == 0, share))


def _divisors(number: int) -> list[int]:
    return [part for part in range(1, number + 1) if number % part == 0]


def _unrolled(sch: Schedule, block: SBlockRV) -> None:
    for loop in sch.get_loops(block)[2:]:
        sch.unroll(loop)


def rule() -> Rule:
    """The rule of this module."""
    return Rule()
