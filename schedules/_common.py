"""What schedule rules share: decisions that can be searched, threads, copies."""

from __future__ import annotations

from collections.abc import Sequence

from tvm.s_tir import Schedule
from tvm.s_tir.schedule import ExprRV, LoopRV, SBlockRV
from tvm.tirx import PrimFunc

Factor = int | ExprRV


class Decisions:
    """Takes the decisions of a schedule: the default ones, or (tunable) samples that begin with the default ones."""

    def __init__(self, sch: Schedule, tunable: bool) -> None:
        self._sch, self._tunable = sch, tunable

    def pick(self, default: int, options: Sequence[int]) -> Factor:
        """``default``, or one of ``options``, which it joins."""
        if not self._tunable:
            return default
        values = sorted({default, *options})
        return self._sch.sample_categorical(values, [1 / len(values)] * len(values), values.index(default))


def extents(sch: Schedule, block: SBlockRV) -> list[int]:
    """Shape of the buffer that ``block`` writes."""
    return [int(extent) for extent in sch.get(block).writes[0].source.shape]


def find(sch: Schedule, name: str) -> SBlockRV | None:
    """The block of that name, None when there is none."""
    names = {sch.get(block).name_hint for block in sch.get_child_blocks(sch.get_sblock("root"))}
    return sch.get_sblock(name) if name in names else None


def parallel(sch: Schedule, func: PrimFunc, loops: Sequence[LoopRV]) -> None:
    """Spread ``loops`` (outermost first, neighbours) over the function's ``tvmopt.threads``, if more than one."""
    if int(func.attrs.get("tvmopt.threads", 1)) > 1:
        sch.parallel(sch.fuse(*loops))


def copy(sch: Schedule, func: PrimFunc, block: SBlockRV) -> None:
    """Schedule a block that copies, converts or pads: borders are filled first, so that rows copy in one go."""
    outermost = sch.get_loops(block)[0]
    if sch.can_decompose_padding(block, outermost):
        fill = sch.decompose_padding(block, outermost)
        parallel(sch, func, sch.get_loops(fill)[:-1])
    parallel(sch, func, sch.get_loops(block)[:-1])
