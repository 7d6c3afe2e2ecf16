"""How often a kernel reads and writes each of its buffers: what decides who lives in fast memory."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm import ir, tirx


def traffic(func: tirx.PrimFunc) -> Counter[ir.Var]:
    """Bytes that one call loads from and stores to each buffer of a lowered function.

    An estimate: both branches of a condition count, and of what an instruction is given the address of, one element.
    """
    import tvm
    import tvm_ffi
    from tvm import ir, tirx

    moved: Counter[ir.Var] = Counter()
    times = [1]
    whole: dict[ir.Var, ir.Var] = {}  # buffer -> the buffer that it is another view of

    def count(buffer: ir.Var, type_: Any) -> None:
        dtype = tvm.DataType(str(type_))
        moved[whole.get(buffer, buffer)] += times[-1] * dtype.lanes * -(-dtype.bits // 8)

    def loop(node: tirx.For, visitor: Any) -> None:
        times.append(times[-1] * (int(node.extent) if isinstance(node.extent, tirx.IntImm) else 1))
        visitor.visit(node.body)
        times.pop()

    def declare(node: tirx.DeclBuffer, visitor: Any) -> None:
        (whole[node.buffer],) = node.data.args

    def load(node: ir.TensorLoad, visitor: Any) -> None:
        count(node.source, node.ty)
        for index in node.indices:
            visitor.visit(index)

    def store(node: tirx.BufferStore, visitor: Any) -> None:
        count(node.buffer, node.value.ty)
        for expr in (node.value, *node.indices):
            visitor.visit(expr)

    visitors = [(tirx.For, loop), (tirx.DeclBuffer, declare), (ir.TensorLoad, load), (tirx.BufferStore, store)]
    tvm_ffi.structural_visit(func.body, visitors)
    return moved
