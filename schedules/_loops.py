"""Schedule of any other function: what can be inlined is, every loop nest is vectorized, sums stay in registers.

Meant for the float operators around int8 regions, as TVM legalizes them, and for our elementwise and pooling
kernels. What is no plain loop nest (data-dependent access, several results, symbolic shapes) stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from tvm.ir import Call, TensorLoad
from tvm.s_tir import Schedule
from tvm.s_tir.schedule import LoopRV, SBlockRV
from tvm.target import Target
from tvm.tirx import IntImm, IterVar, PrimFunc, Var
from tvm.tirx.analysis import undefined_vars
from tvm_ffi import structural_equal, structural_walk

from . import _planes
from ._common import Decisions, copy, features, parallel

LANES = 16
"""Of 32-bit elements; LLVM splits vectors that are longer than the target's."""

SCALAR = {"tirx.cosh", "tirx.sinh"}
"""What TVM computes one element at a time, and fails to split a vector for."""

ROWS = 6
"""Vectors of sums in registers at a time, at most."""

CHAINS = 4
"""Vectors of partial sums, where rows are long: an addition waits for the one before it."""

LONG = 16
"""Vectors that each of them sums, at least."""

WORTH = 1024
"""Elements that a block must have for a decision to be worth trials."""


@dataclass(frozen=True)
class Step:
    """How elements are walked: so many in a vector, at most, and so many vectors in an iteration."""

    lanes: int = LANES
    vectors: int = 1


def schedule(func: PrimFunc, target: Target, tunable: bool) -> Schedule:
    """The scheduled function."""
    sch = Schedule(func)
    if func.body.block.name_hint != "root":
        return sch  # a single block without loops
    decisions = Decisions(sch, tunable)
    inline(sch)
    blocks = [block for block in sch.get_child_blocks(sch.get_sblock("root")) if plain(sch, block)]
    step = Step()
    if any(size(sch, block) >= WORTH and _columns(sch, block) for block in blocks):
        reduces = any(sums(sch, block) and vector_axis(sch, block) is not None for block in blocks)
        wide = sum_lanes(target) if reduces else LANES
        step = Step(decisions.pick("lanes", wide, (8, 16, 32, 64)), decisions.pick("vectors", 1, (1, 2, 4)))
    for block in blocks:
        if not sums(sch, block):
            _map(sch, func, block, target, step, decisions)
        elif (vector := vector_axis(sch, block)) is not None:
            _reduce_in_columns(sch, func, block, vector, step, decisions)
        elif sums_along_rows(sch, block):
            _reduce_along_rows(sch, func, block)
    return sch


def sum_lanes(target: Target) -> int:
    """Lanes of sums in columns, of which registers hold those of ``ROWS`` rows."""
    if not str(target.attrs.get("mtriple", "")).startswith("x86_64"):
        return LANES
    found = features(target)
    return 4 * 16 if "avx512f" in found else 2 * 8 if "avx2" in found else 2 * 4


def inline(sch: Schedule) -> None:
    """Compute elementwise blocks where they are read, if each element is needed about once."""
    root = sch.get_sblock("root")
    # those of one buffer count as each other's consumers
    outputs = [sch.get(block) for block in sch.get_output_blocks(root)]
    for block in sch.get_child_blocks(root):
        if sch.get(block) not in outputs and _inlines(sch, block):
            sch.compute_inline(block)


def plain(sch: Schedule, block: SBlockRV) -> bool:
    """Whether a block is one loop nest of constant extents that writes one buffer, and reads without indirection."""
    node, loops = sch.get(block), sch.get_loops(block)
    if len(node.writes) != 1 or len(loops) != len(node.iter_vars) or sch.get_child_blocks(block):
        return False
    ranges = [r for region in (*node.reads, *node.writes) for r in region.region]
    indices = [r.min for r in ranges]
    structural_walk(node.body, (TensorLoad, lambda load: indices.extend(load.indices)))
    axes = {iv.var for iv in node.iter_vars}
    return (
        all(isinstance(sch.get(loop).extent, IntImm) for loop in loops)
        and all(isinstance(r.extent, IntImm) and (int(r.extent) == 1 or isinstance(r.min, IntImm)) for r in ranges)
        and all(axes.issuperset(undefined_vars(index)) for index in indices)
    )


def _inlines(sch: Schedule, block: SBlockRV) -> bool:
    """Whether an elementwise block feeds one other, which needs every element about once."""
    consumers = sch.get_consumers(block)
    if len(consumers) != 1 or not all(plain(sch, b) and not sums(sch, b) for b in (block, consumers[0])):
        return False
    return size(sch, consumers[0]) <= size(sch, block)


def size(sch: Schedule, block: SBlockRV) -> int:
    """Iterations of a block."""
    return prod(int(iv.dom.extent) for iv in sch.get(block).iter_vars)


def sums(sch: Schedule, block: SBlockRV) -> list[IterVar]:
    """The axes that a block reduces."""
    return [iv for iv in sch.get(block).iter_vars if iv.iter_type == IterVar.CommReduce]


def _columns(sch: Schedule, block: SBlockRV) -> bool:
    """Whether a block is computed in vectors along the last axis of what it writes."""
    return not calls(sch, block) & SCALAR and (_flat(sch, block) or vector_axis(sch, block) is not None)


def _flat(sch: Schedule, block: SBlockRV) -> bool:
    """Whether an elementwise block walks all that it reads, but for constants, in the order in which it writes."""
    node = sch.get(block)
    places = [
        [r.min for r, extent in zip(region.region, region.source.shape, strict=True) if int(extent) > 1]
        for region in (*node.writes, *node.reads)
    ]
    varying = [place for place in places if any(undefined_vars(index) for index in place)]
    return not sums(sch, block) and all(structural_equal(place, varying[0]) for place in varying)


def _map(sch: Schedule, func: PrimFunc, block: SBlockRV, target: Target, step: Step, decisions: Decisions) -> None:
    """Vectorize an elementwise block along the axis in which its output is contiguous."""
    loops = sch.get_loops(block)
    if not loops:
        return
    if sch.can_decompose_padding(block, loops[0]):
        copy(sch, func, block)
        return
    flat, extents = _flat(sch, block), [int(sch.get(loop).extent) for loop in loops]
    row = next((extent for extent in reversed(extents) if extent > 1), 1) if flat else extents[-1]
    wide = lanes(row, step.lanes)
    vectorized = row >= LANES // 4 and _columns(sch, block)
    if vectorized and flat and row % wide == 0:
        # One loop does, and it is longer. Vectors that end in the next row would be scattered: TVM does not see
        # that indices which it took apart are one again.
        loops = [sch.fuse(*loops)]
    *outer, inner = loops
    if vectorized:
        vectors = step.vectors if int(sch.get(inner).extent) % (step.vectors * wide) == 0 else 1
        inner, vector, lane = sch.split(inner, [None, vectors, wide])
        sch.unroll(vector)
        sch.vectorize(lane)
        sch.annotate(inner, "pragma_loop_partition_hint", 1)
    elif not flat and _planes.takes(sch, block, other := _read_along(sch, block), target):
        outer = _planes.schedule(sch, block, target)
    elif not flat and other is not None:
        outer, inner = _tile(sch, block, loops, other, decisions)
    parallel(sch, func, sch.fuse(*outer) if outer else inner)


def _read_along(sch: Schedule, block: SBlockRV) -> int | None:
    """The axis, not the last one, along which what an elementwise block reads is contiguous: it transposes."""
    node = sch.get(block)
    axes = [iv.var for iv in node.iter_vars]
    for read in node.reads:
        for place, axis in enumerate(axes[:-1]):
            if read.region and axis.same_as(read.region[-1].min):
                return place
    return None


def _tile(
    sch: Schedule, block: SBlockRV, loops: list[LoopRV], other: int, decisions: Decisions
) -> tuple[list[LoopRV], LoopRV]:
    """Transpose in square tiles, of which as much is read as is written in lines of the cache; 0: row by row."""
    sizes = [int(sch.get(loop).extent) for loop in (loops[other], loops[-1])]
    name = sch.get(block).name_hint
    tile = decisions.pick(f"{name}.tile", 0, [0, *(t for t in (4, 8, 16, 32) if all(n % t == 0 for n in sizes))])
    *outer, inner = loops
    if not tile:
        return outer, inner
    outer[other], row = sch.split(loops[other], [None, tile])
    last, column = sch.split(inner, [None, tile])
    sch.reorder(*outer, last, row, column)
    return outer, last


def calls(sch: Schedule, block: SBlockRV) -> set[str]:
    """Names of the functions that a block calls."""
    found: set[str] = set()
    structural_walk(sch.get(block).body, (Call, lambda call: found.add(str(getattr(call.op, "name", "")))))
    return found


def lanes(extent: int, most: int) -> int:
    """Length of the vectors that ``extent`` elements are cut into: without a rest, unless they would be short."""
    divisors = [lanes for lanes in range(LANES // 4, most + 1) if extent % lanes == 0]
    return max(divisors, key=lambda lanes: (lanes in (8, 16, 32, 64), lanes), default=min(most, extent))


def vector_axis(sch: Schedule, block: SBlockRV) -> Var | None:
    """The axis, of more than one element, along which the output and everything that varies with it are contiguous."""
    node = sch.get(block)
    last = node.writes[0].region[-1].min if node.writes[0].region else None
    if not any(iv.var.same_as(last) and int(iv.dom.extent) > 1 for iv in node.iter_vars):
        return None
    strided = [r.min for read in node.reads for r in list(read.region)[:-1]]
    return None if any(last in set(undefined_vars(place)) for place in strided) else last


def _reduce_in_columns(
    sch: Schedule, func: PrimFunc, block: SBlockRV, vector: Var, step: Step, decisions: Decisions
) -> None:
    """A vector of sums along ``vector``, several of them where they share what is read along it."""
    axes = [iv.var for iv in sch.get(block).iter_vars]
    reduced = [iv.var for iv in sums(sch, block)]
    shared = _sharing_axis(sch, block, vector)
    store = sch.cache_write(block, 0, "local")
    loop = dict(zip(axes, sch.get_loops(block), strict=True))
    columns, lane = sch.split(loop[vector], [None, lanes(int(sch.get(loop[vector]).extent), step.lanes)])
    tile: list[LoopRV] = []
    outer = [loop[axis] for axis in axes if axis not in (vector, *reduced)]
    if shared is not None:
        extent, name = int(sch.get(loop[shared]).extent), sch.get(block).name_hint
        rows = max(rows for rows in range(1, ROWS + 1) if extent % rows == 0)
        position = [axis for axis in axes if axis not in (vector, *reduced)].index(shared)
        outer[position], row = sch.split(loop[shared], [None, decisions.pick(f"{name}.rows", rows, range(1, ROWS + 1))])
        tile = [row]
    sch.reorder(*outer, columns, *(loop[axis] for axis in reduced), *tile, lane)
    sch.reverse_compute_at(store, columns)
    sch.vectorize(lane)
    sch.vectorize(sch.get_loops(store)[-1])
    parallel(sch, func, sch.fuse(*outer) if outer else columns)
    init = sch.decompose_reduction(block, loop[reduced[0]])
    sch.vectorize(sch.get_loops(init)[-1])
    for inner in tile:
        sch.unroll(inner)
        sch.unroll(sch.get_loops(init)[-2])
        sch.unroll(sch.get_loops(store)[-2])
    sch.annotate(columns, "pragma_loop_partition_hint", 1)


def _sharing_axis(sch: Schedule, block: SBlockRV, vector: Var) -> Var | None:
    """The longest other axis of the output that something read along ``vector`` does not vary with."""
    node = sch.get(block)
    used = [{v for r in read.region for v in undefined_vars(r.min)} for read in node.reads]
    along = [axes for axes in used if vector in axes]
    others = [iv for iv in node.iter_vars if iv.iter_type == IterVar.DataPar and iv.var != vector]
    sharing = [iv for iv in others if any(iv.var not in axes for axes in along) and int(iv.dom.extent) > 1]
    return max(sharing, key=lambda iv: int(iv.dom.extent)).var if sharing else None


def sums_along_rows(sch: Schedule, block: SBlockRV) -> bool:
    """Whether the last axis that is reduced is contiguous in all that is read, and divides into vectors."""
    node, axis = sch.get(block), sums(sch, block)[-1]
    strided = [r.min for read in node.reads for r in list(read.region)[:-1]]
    return int(axis.dom.extent) % LANES == 0 and not any(axis.var in set(undefined_vars(place)) for place in strided)


def _reduce_along_rows(sch: Schedule, func: PrimFunc, block: SBlockRV) -> None:
    """Vectors of partial sums along the last axis that is reduced, added up at the end of the row."""
    spatial = [iv for iv in sch.get(block).iter_vars if iv.iter_type == IterVar.DataPar]
    length, last = prod(int(iv.dom.extent) for iv in sums(sch, block)), int(sums(sch, block)[-1].dom.extent)
    several = last % (CHAINS * LANES) == 0 and length >= LONG * CHAINS * LANES
    partial = add_up(sch, block, CHAINS * LANES if several else LANES)
    outer = sch.get_loops(block)[: len(spatial)]
    for each in reversed(partial):
        if outer:
            compute_at(sch, each, outer[-1])
        sch.vectorize(sch.get_loops(each)[-1])
    if outer:
        parallel(sch, func, sch.fuse(*outer))


def add_up(sch: Schedule, block: SBlockRV, wide: int) -> list[SBlockRV]:
    """Blocks that compute ``wide`` partial sums of a row, then ``LANES // 4`` of those, which ``block`` adds up."""
    spatial = sum(iv.iter_type == IterVar.DataPar for iv in sch.get(block).iter_vars)
    partial = []
    for width in (wide, LANES // 4):
        _, lane = sch.split(sch.get_loops(block)[-1], [None, width])
        partial.append(sch.rfactor(lane, spatial))
        sch.set_scope(partial[-1], 0, "local")
    return partial


def compute_at(sch: Schedule, block: SBlockRV, loop: LoopRV) -> None:
    """Compute a block inside ``loop``, by rows: what it reduces comes after them, and before the axis of a vector of
    partial sums."""
    sch.compute_at(block, loop, preserve_unit_loops=True)
    node = sch.get(block)
    loops = sch.get_loops(block)[-len(node.iter_vars) :]
    over = {iv.var: each for iv, each in zip(node.iter_vars, loops, strict=True)}
    space = [over[r.min] for r in node.writes[0].region]
    reduced = [over[iv.var] for iv in sums(sch, block)]
    vector = len(space) - (node.writes[0].source.scope() == "local")
    sch.reorder(*space[:vector], *reduced, *space[vector:])
