"""Schedule of "table" functions for AVX512BW: 32 bytes looked up at a time.

Written out, not derived: tensorize takes no block whose place of reading depends on data.
"""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.script.ir_builder import IRBuilder
from tvm.tirx import Broadcast, Buffer, Expr, PrimFunc, Ramp, Select, const
from tvm.tirx.script import builder as T

from ._common import find, parallel

GROUP = 32
"""Bytes that one step looks up."""


def schedule(func: PrimFunc) -> Schedule:
    """The function of ``func``: y[i] = table[x[i]] for uint8 x [n], table [256], y [n]."""
    size = int(func.params[0].ty.shape[0])
    with IRBuilder() as ir, T.prim_func(s_tir=True):
        T.func_attr({"tirx.noalias": True, "tvmopt.op": "table"})
        x, table, y = (T.arg(p.name, T.buffer(p.ty.shape, p.ty.dtype)) for p in func.params)
        if size >= GROUP:
            with T.serial(0, size // GROUP) as i, T.sblock("groups"):
                group = T.axis.spatial(size // GROUP, i)
                T.buffer_store(
                    y, _looked_up(x.vload([group * GROUP], "uint8x32"), table), [Ramp(group * GROUP, 1, GROUP)]
                )
        if size % GROUP:
            with T.serial(0, size % GROUP) as i, T.sblock("rest"):
                rest = T.axis.spatial(size % GROUP, i)
                at = rest + size // GROUP * GROUP
                T.buffer_store(y, table[x[at].astype("int32")], [at])
    sch = Schedule(ir.get())
    if (groups := find(sch, "groups")) is not None:
        parallel(sch, func, sch.get_loops(groups)[0])
    return sch


def _looked_up(x: Expr, table: Buffer) -> Expr:
    """The table is four registers of 32 pairs of bytes; one instruction finds pairs in two of them."""

    def every(value: int) -> Expr:
        return Broadcast(const(value, "uint16"), GROUP)

    index = x.astype("uint16x32")
    quarters = [T.reinterpret(table.vload([64 * i], "uint8x64"), dtype="uint16x32") for i in range(4)]
    low, high = (
        T.call_llvm_pure_intrin("uint16x32", "llvm.x86.avx512.vpermi2var.hi.512", a, index >> every(1), b)
        for a, b in (quarters[:2], quarters[2:])
    )
    pair = Select(index < every(128), low, high)
    return (pair >> ((index & every(1)) << every(3))).astype("uint8x32")
