"""Schedule of "sparse_matvec" functions, for AVX512BW: vpermi2w takes any inputs out of a window of two vectors."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.s_tir.stmt import SBlock
from tvm.script import tirx as T
from tvm.tirx import BufferLoad, BufferStore, PrimFunc, Ramp, const
from tvm_ffi import structural_map

from . import _intrinsics
from ._common import parallel, widest_first
from ._shuffles import shuffle

LANES = 16


def schedule(func: PrimFunc) -> Schedule:
    """The scheduled function."""
    sch = Schedule(func.with_body(structural_map(func.body, (SBlock, _gather))))
    outer, *_ = widest_first(sch, sch.get_loops(sch.get_sblock("slice")))
    parallel(sch, func, outer)
    *_, inner = sch.get_loops(sch.get_sblock("widen"))
    sch.vectorize(sch.split(inner, [None, LANES])[1])
    for name in ("acc0", "acc1"):
        sch.tensorize(sch.get_sblock(name), _intrinsics.columns(LANES, 2, "int8"))
    return sch


def _gather(block: SBlock) -> SBlock:
    """A block that takes 16 pairs out of a window by their places, as one instruction.

    By hand: tensorize does not match what is read at a place that is read as well.
    """
    if not block.name_hint.startswith("gather"):
        return block
    window, places = block.reads
    (taken,) = block.writes
    low, high = (BufferLoad(window.source, [_ramp(32 * half, 32)]) for half in (0, 1))
    count = 2 * int(places.region[1].extent)
    at = BufferLoad(places.source, [places.region[0].min, 0, _ramp(0, count)])
    if count < 32:  # outputs side by side share them; TVM gives no more elements than it takes
        at = shuffle([at] * (32 // count), [2 * (lane * count // 32) + i for lane in range(LANES) for i in (0, 1)])
    pairs = T.call_llvm_pure_intrin("int16x32", "llvm.x86.avx512.vpermi2var.hi.512", low, T.cast(at, "int16x32"), high)
    body = BufferStore(taken.source, T.reinterpret(pairs, dtype="int32x16"), [_ramp(0, LANES)])
    return SBlock(block.iter_vars, block.reads, block.writes, block.name_hint, body)


def _ramp(base: int, lanes: int) -> Ramp:
    return Ramp(const(base, "int32"), const(1, "int32"), lanes)
