"""Kernels that unpack a weight, tile by tile, before they multiply with it; and the function that does it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm import tirx
    from tvm.s_tir import Schedule
    from tvm.s_tir.schedule import LoopRV


@dataclass(frozen=True, eq=False)
class Unpacking:
    """A kernel that unpacks, and how many times it unpacks every tile."""

    func: tirx.PrimFunc
    times: int


def unpacking(func: tirx.PrimFunc, weight: int, unpack: str) -> Unpacking | None:
    """Rewrites, for the parameter ``weight`` [R, ...] of a scheduled function::

        for p, r: for k: acc[p, r] += x[p, k] * w[r, k]

        -> for r: unpack(tile, bits[r], values, length)
             for p: for k: acc[p, r] += x[p, k] * tile[k]

    The parameter becomes two: bits [R, 1 + words] and values (see ``packed.Packed``). The loop over the tiles moves as
    far outwards as it can. None where no single block reads the weight, tile by tile.
    """
    from tvm.s_tir import Schedule

    reader = _reader(func, func.params[weight])
    if reader is None:
        return None
    sch = Schedule(func)
    block = sch.get_sblock(reader.block.name_hint)
    number = [region.source.same_as(func.params[weight]) for region in reader.block.reads].index(True)
    loops = sch.get_loops(block)
    tiles = [i for i, loop in enumerate(loops) if _steps_through_tiles(sch.get(loop), reader, number)]
    if len(tiles) > 1:
        return None
    copy = sch.cache_read(block, number, "global")
    outside = 0
    for i in tiles:
        outside = _move_out(sch, loops, i)
        sch.compute_at(copy, loops[i])
    whole = sch.get(sch.blockize(sch.get_loops(copy)[outside + len(tiles)]))
    if [int(axis.extent) for axis in whole.writes[0].region] != [1, *map(int, func.params[weight].ty.shape[1:])]:
        return None
    times = math.prod(int(sch.get(loop).extent) for loop in loops[:outside])
    return Unpacking(_with_call(sch.mod["main"], weight, whole, unpack), times)


def _move_out(sch: Schedule, loops: list[LoopRV], which: int) -> int:
    """Move a loop outside of as many as it can; returns how many it is still in."""
    from tvm.s_tir.schedule import ScheduleError

    for outside in range(which):
        try:
            sch.reorder(loops[which], *loops[outside:which])
        except ScheduleError:
            continue
        return outside
    return which


def _reader(func: tirx.PrimFunc, weight: tirx.Var) -> Any:
    """The one block that reads a parameter, with its bindings; None where there are several."""
    import tvm_ffi
    from tvm.s_tir import SBlockRealize

    found: list[Any] = []

    def realize(node: Any) -> None:
        inner = node.block.name_hint != "root"
        if inner and any(region.source.same_as(weight) for region in node.block.reads):
            found.append(node)

    tvm_ffi.structural_walk(func.body, (SBlockRealize, realize))
    return found[0] if len(found) == 1 else None


def _steps_through_tiles(loop: tirx.For, reader: Any, number: int) -> bool:
    """Whether the first index of what a block reads changes with a loop around it."""
    import tvm_ffi
    from tvm import ir, tirx

    values = {axis.var: value for axis, value in zip(reader.block.iter_vars, reader.iter_values, strict=True)}
    first = reader.block.reads[number].region[0].min
    index = tvm_ffi.structural_map(first, (ir.Var, lambda var: values.get(var, var)))
    names = {var.name for var in tirx.analysis.undefined_vars(index)}
    return int(loop.extent) > 1 and loop.loop_var.name in names


def _with_call(func: tirx.PrimFunc, weight: int, copy: Any, unpack: str) -> tirx.PrimFunc:
    """Let ``unpack`` write what the block ``copy`` does."""
    import tvm_ffi
    from tvm import tirx
    from tvm.s_tir import SBlock

    shape = [int(n) for n in func.params[weight].ty.shape]
    length = math.prod(shape[1:])
    bits = tirx.decl_buffer((shape[0], 1 + -(-length // 32)), "uint32", "bits")
    values = tirx.decl_buffer((1,), "int8", "values")  # as many as there are
    tile = copy.writes[0].source
    axes = [axis.var for axis in copy.iter_vars]
    addresses = map(tirx.address_of, [tile.vload(axes), bits.vload([axes[0], 0]), values.vload([0])])
    call = tirx.Evaluate(tirx.call_extern("int32", unpack, *addresses, length))

    def replaced(block: SBlock) -> SBlock:
        if block.name_hint != copy.name_hint:
            return block
        return SBlock(block.iter_vars, [], block.writes, block.name_hint, call)

    params = [*func.params[:weight], bits, values, *func.params[weight + 1 :]]
    body = tvm_ffi.structural_map(func.body, (SBlock, replaced))
    return tirx.PrimFunc(params, body, func.ret_type, func.attrs)


def unpack() -> tirx.PrimFunc:
    """``f(tile int8 [count], bits uint32 [1 + words], values int8, count)``: write a tile of weights.

    ``bits`` tells where the tile's values begin, then of each weight whether it is one of them, highest bit first.
    """
    from tvm import tirx
    from tvm.script.ir_builder import IRBuilder
    from tvm.tirx.script import builder as T

    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_attr({"tirx.noalias": True})
        types = {"tile": "int8", "bits": "uint32", "values": "int8"}
        tile, bits, values = (T.arg(name, T.buffer((1,), dtype)) for name, dtype in types.items())  # of any length
        count = T.arg("count", T.int32())
        at = T.sblock_alloc_buffer((1,), "uint32", scope="local")
        rest = T.sblock_alloc_buffer((1,), "uint32", scope="local")
        with T.serial(0, count) as i:
            T.buffer_store(tile, T.int8(0), [i])
        T.buffer_store(at, bits[0], [0])
        with T.serial(0, (count + 31) // 32) as word:
            T.buffer_store(rest, bits[word + 1], [0])
            with T.While(rest[0] != T.uint32(0)):
                first = tirx.op.call_intrin("int32", "prim.clz", rest[0])
                T.buffer_store(tile, values[at[0].astype("int32")], [word * 32 + first])
                T.buffer_store(at, at[0] + T.uint32(1), [0])
                T.buffer_store(rest, rest[0] ^ (T.uint32(1 << 31) >> first.astype("uint32")), [0])
    return builder.get()
