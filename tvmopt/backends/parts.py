"""Kernels that only put their inputs beside each other, by their (scheduled) TIR: concatenations."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .inplace import size

if TYPE_CHECKING:
    from tvm import tirx


def parts(func: tirx.PrimFunc, reads: int) -> dict[int, int]:
    """Where in its one output a function that does nothing else puts inputs: {input: byte}; {} for any other function.

    Such a function stores elements of inputs as they are, each at one distance from its own place. Its parts fill the
    output and do not overlap.
    """
    inputs, outputs = func.params[:reads], func.params[reads:]
    distances = _Copies(outputs[0]).of(func) if len(outputs) == 1 else None
    if distances is None or any(len(found) != 1 for found in distances.values()):
        return {}
    found = {i: at for i, tensor in enumerate(inputs) for at in distances.get(tensor, ())}
    end = 0
    for i in sorted(found, key=found.__getitem__):
        if found[i] != end:
            return {}
        end += size(inputs[i].ty)
    return found if len(found) == len(distances) and end == size(outputs[0].ty) else {}


class _Copies:
    """Finds, for each buffer, the distances in bytes between an element and where it is stored in ``sink``."""

    def __init__(self, sink: tirx.Var) -> None:
        from tvm.sym import Analyzer

        self._sink = sink
        self._distances: dict[Any, set[int]] = {}
        self._more = False  # whether anything else is done
        self._bound: dict[Any, Any] = {}  # block variable -> its value in the loops around
        self._analyzer = Analyzer()

    def of(self, func: tirx.PrimFunc) -> dict[tirx.Var, set[int]] | None:
        """None for a function that does anything else."""
        import tvm_ffi
        from tvm import tirx
        from tvm.s_tir import SBlockRealize

        body = func.body.block.body if isinstance(func.body, SBlockRealize) else func.body
        visitors = [
            (tirx.For, self._for),
            (SBlockRealize, self._realize),
            (tirx.BufferStore, self._store),
            (tirx.Evaluate, self._other),
        ]
        tvm_ffi.structural_visit(body, visitors)
        return None if self._more else self._distances

    def _for(self, loop: Any, visitor: Any) -> None:
        from tvm import ir

        self._analyzer.bind(loop.loop_var, ir.Range.from_min_extent(loop.min, loop.extent))
        visitor.visit(loop.body)

    def _realize(self, realize: Any, visitor: Any) -> None:
        values = [self._in_loops(value) for value in realize.iter_values]
        self._bound |= {axis.var: value for axis, value in zip(realize.block.iter_vars, values, strict=True)}
        if realize.block.init is not None or realize.block.match_buffers:
            self._more = True
        visitor.visit(realize.block.body)

    def _store(self, store: Any, visitor: Any) -> None:
        self._more |= not store.buffer.same_as(self._sink)
        self._copied(store, store.value)

    def _copied(self, store: Any, value: Any) -> None:
        """``value``, or what it is in either case, is an element of a buffer."""
        import tvm
        from tvm import ir, tirx

        if getattr(getattr(value, "op", None), "name", "") == "prim.if_then_else":
            for case in value.args[1:]:
                self._copied(store, case)
            return
        if isinstance(value, ir.TensorLoad):
            elements = self._in_loops(_flat(store.buffer, store.indices) - _flat(value.source, value.indices))
            distance = self._analyzer.simplify(elements * (tvm.DataType(str(value.ty)).bits // 8))
            if isinstance(distance, tirx.IntImm):
                self._distances.setdefault(value.source, set()).add(int(distance))
                return
        self._more = True

    def _other(self, statement: Any, visitor: Any) -> None:
        self._more = True

    def _in_loops(self, expr: Any) -> Any:
        """``expr`` in terms of the loops' variables."""
        import tvm_ffi
        from tvm import ir

        return tvm_ffi.structural_map(expr, (ir.Var, lambda var: self._bound.get(var, var)))


def _flat(buffer: Any, indices: Any) -> Any:
    """The number of an element in row-major order."""
    flat = 0
    for extent, index in zip(buffer.ty.shape, indices, strict=True):
        flat = flat * extent + index
    return flat
