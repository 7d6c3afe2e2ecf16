"""What schedule rules share: decisions that can be searched, threads, copies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

from tvm import DataType
from tvm.ir import TensorLoad
from tvm.s_tir import SBlock, Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV
from tvm.target import Target, codegen
from tvm.tirx import Add, BufferLoad, BufferStore, PrimFunc
from tvm_ffi import structural_map, structural_walk

SHARED = 64 * 1024
"""Bytes that a copy must have for several threads to make it sooner: it takes some thousand cycles."""


@dataclass(frozen=True)
class Product:
    """A function of ours that sums products: what it is, and how its weights are packed.

    Attributes
    ----------
    op    : "contraction", or "depthwise".
    lanes : sums side by side in a vector.
    depth : products that one step adds to each; 1 where they are added one by one.
    w     : dtype of the weights; "int4" for two of them in a byte.
    pairs : whether two weights of every four are stored (2:4).
    neighbours : pixels that have their sums in the lanes in turn, each of its own operand.
    """

    op: str
    lanes: int
    depth: int
    w: str
    pairs: bool = False
    neighbours: int = 1

    @staticmethod
    def of(func: PrimFunc) -> Product | None:
        """What ``func`` is, None when it is something else."""
        op = None if func.attrs is None else func.attrs.get("tvmopt.op")
        if op not in ("contraction", "depthwise"):
            return None
        sch = Schedule(func)
        reads = [read.source for read in sch.get(sch.get_sblock("acc")).reads]
        weight, pairs = reads[-1], any(read.name == "positions" for read in reads)
        if op == "depthwise" and find(sch, "columns") is None:
            return Product(op, int(weight.shape[-1]), 1, str(weight.dtype))
        depth = int(sch.get(sch.get_sblock("acc")).iter_vars[-1].dom.extent)
        w = "int4" if op == "contraction" and depth > int(weight.shape[-1]) else str(weight.dtype)
        return Product(op, int(weight.shape[-2]), depth, w, pairs, int(func.attrs.get("tvmopt.neighbours", 1)))


class Decisions:
    """Takes the decisions of a schedule: those that the function's attribute ``tvmopt.decisions`` gives, default ones
    otherwise.

    A tunable schedule lists what can be decided, as annotations of the function's root block:
    ``tvmopt.decision.<name>`` = [default, *options].
    A rule asks for the same decisions with the same options whatever it was told before.
    """

    def __init__(self, sch: Schedule, tunable: bool) -> None:
        attrs = sch.mod["main"].attrs
        given = [] if attrs is None else attrs.get("tvmopt.decisions", [])
        self._given = {str(name): int(value) for name, value in given}
        self._sch, self._tunable = sch, tunable

    def pick(self, name: str, default: int, options: Sequence[int]) -> int:
        """What is decided: one of ``options``, which ``default`` joins. Raises ValueError for anything else given."""
        values = sorted({default, *options})
        if self._tunable:
            self._sch.annotate(self._sch.get_sblock("root"), f"tvmopt.decision.{name}", [default, *values])
        value = self._given.get(name, default)
        if value not in values:
            raise ValueError(f"{name} is {value}, none of {values}")
        return value


def features(target: Target) -> set[str]:
    """Of a CPU, by LLVM's names; those that others imply among them."""
    return set(map(str, codegen.llvm_get_cpu_features(target)))


def begun(func: PrimFunc) -> PrimFunc:
    """``func`` with sums ("acc") that begin with the bias, which saves adding it, where it is as long as they are."""
    blocks: list[SBlock] = []
    structural_walk(func.body, (SBlock, blocks.append))
    (acc,) = (block for block in blocks if block.name_hint == "acc")
    sums = acc.writes[0].source
    *_, number, lanes = sums.shape

    def biased(value: Add) -> bool:
        return (
            isinstance(value.a, TensorLoad)
            and isinstance(value.b, TensorLoad)
            and value.a.source.same_as(sums)
            and len(value.b.source.shape) == 1
            and int(value.b.source.shape[0]) == int(number) * int(lanes)
        )

    found: list[Add] = []
    structural_walk(func.body, (Add, lambda value: found.append(value) if biased(value) else None))
    if len(found) != 1:
        return func

    def begin(block: SBlock) -> SBlock:
        if block.name_hint != "acc":
            return block
        *_, at, lane = block.init.indices
        init = BufferStore(sums, BufferLoad(found[0].b.source, [at * lanes + lane]), block.init.indices)
        return SBlock(
            block.iter_vars, block.reads, block.writes, "acc", block.body, init, annotations=block.annotations
        )

    body = structural_map(func.body, (Add, lambda value: value.a if biased(value) else value))
    return func.with_body(structural_map(body, (SBlock, begin)))


def extents(sch: Schedule, block: SBlockRV) -> list[int]:
    """Shape of the buffer that ``block`` writes."""
    return [int(extent) for extent in sch.get(block).writes[0].source.shape]


def find(sch: Schedule, name: str) -> SBlockRV | None:
    """The block of that name, None when there is none."""
    names = {sch.get(block).name_hint for block in sch.get_child_blocks(sch.get_sblock("root"))}
    return sch.get_sblock(name) if name in names else None


def parallel(sch: Schedule, func: PrimFunc, *loops: LoopRV) -> None:
    """Spread the first of ``loops`` that has several iterations over the threads that the function may use, if several.

    loops : nested, outermost first.
    """
    shared = [loop for loop in loops if int(sch.get(loop).extent) > 1]
    if threads(func) > 1 and shared:
        sch.parallel(shared[0])


def threads(func: PrimFunc) -> int:
    """How many threads the function may use (attribute ``tvmopt.threads``)."""
    return 1 if func.attrs is None else int(func.attrs.get("tvmopt.threads", 1))


def evenly(func: PrimFunc, count: int) -> bool:
    """Whether all threads have about as much to do when they share so many iterations: none an eighth more than all."""
    return 8 * threads(func) * ceil(count / threads(func)) <= 9 * count


def widest_first(sch: Schedule, loops: Sequence[LoopRV]) -> list[LoopRV]:
    """``loops`` with the one of most iterations, which threads share most evenly, moved to the front."""
    widest = max(loops, key=lambda loop: int(sch.get(loop).extent))
    return [widest, *(loop for loop in loops if loop is not widest)]


def row_groups(
    sch: Schedule, decisions: Decisions, space: Sequence[LoopRV], default: int
) -> tuple[list[LoopRV], list[LoopRV]]:
    """The loop over groups of rows, and the one over the rows of a group; none where whole images are one group.

    space   : loops over the places of the output, but for the pixels of a row; those over rows are last.
    default : rows of a group. 0 stands for all.
    """
    if not space:
        return [], []
    *outer, row = space
    count = int(sch.get(row).extent)
    rows = decisions.pick(
        "rows", default, [0, *(rows for rows in (1, 2, 4, 7, 8) if count % rows == 0 and rows < count)]
    )
    if not rows:
        return [], []
    group, row = sch.split(row, [None, rows])
    return [sch.fuse(*outer, group)], [row]  # one loop, since threads share the outermost


def copy(sch: Schedule, func: PrimFunc, block: SBlockRV) -> None:
    """Schedule a block that copies, converts or pads: borders are filled first, so that rows copy in one go."""
    outermost = sch.get_loops(block)[0]
    shared = prod(extents(sch, block)) * DataType(str(sch.get(block).writes[0].source.dtype)).itemsize >= SHARED
    blocks = [block]
    if sch.can_decompose_padding(block, outermost):
        blocks.append(sch.decompose_padding(block, outermost))
    for each in blocks:
        *outer, _ = sch.get_loops(each)
        if outer and shared:
            parallel(sch, func, sch.fuse(*outer))
