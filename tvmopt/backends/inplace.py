"""Which kernels may write their output over an input, by their (scheduled) TIR."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm import ir, tirx


def overwritable(func: tirx.PrimFunc, reads: int) -> set[tuple[int, int]]:
    """Pairs (input, output) of ``func``, equal in bytes, that may be one piece of memory.

    func's first ``reads`` parameters are inputs, the others outputs; both are counted from 0. A pair is legal

    - when the last statement of the function that uses the input is over before the first one that uses the output:
      convolutions that begin with a padded copy of their input; or
    - when each element of the input is read only to compute the output's element at the same index, which is stored
      once: no order of the loops can then overwrite an element that is still needed. What is not understood
      (addresses taken, parts given to intrinsics, recomputed elements) is not legal.
    """
    uses = _Uses()
    uses.walk(func)
    return {
        (i, o)
        for i, source in enumerate(func.params[:reads])
        for o, sink in enumerate(func.params[reads:])
        if size(source.ty) == size(sink.ty) and (uses.before(source, sink) or uses.elementwise(source, sink))
    }


def size(type_: ir.Type) -> int:
    """Bytes of a tensor of static shape."""
    import tvm

    return math.prod(map(int, type_.shape)) * -(-tvm.DataType(str(type_.dtype)).bits // 8)


class _Uses:
    """How a function body uses its buffers."""

    def __init__(self) -> None:
        self.loads: list[tuple[Any, list[Any], Any]] = []  # buffer, indices, the store it is for (or None)
        self.stores: list[tuple[Any, list[Any], bool]] = []  # buffer, indices, whether each element is stored once
        self.other: list[Any] = []  # buffers used in any other way
        self.spans: dict[Any, tuple[int, int]] = {}  # buffer -> first and last statement of the function that uses it
        self._statement = 0
        self._loops: dict[Any, Any] = {}  # variable -> range, of the loops around
        self._bound: dict[Any, Any] = {}  # block variable -> its value in those loops
        self._predicates: list[Any] = []
        self._store: Any = None

    def before(self, source: tirx.Var, sink: tirx.Var) -> bool:
        """Whether ``source`` is not used any more where ``sink`` is used first."""
        return source in self.spans and sink in self.spans and self.spans[source][1] < self.spans[sink][0]

    def elementwise(self, source: tirx.Var, sink: tirx.Var) -> bool:
        """Whether ``source`` is only read to compute the same element of ``sink``, and that is stored once."""
        extents = [int(n) for n in sink.ty.shape]
        if [int(n) for n in source.ty.shape] != extents or any(
            v.same_as(s) for v in self.other for s in (source, sink)
        ):
            return False
        if any(buffer.same_as(sink) for buffer, _, _ in self.loads):
            return False
        if any(buffer.same_as(source) or (buffer.same_as(sink) and not once) for buffer, _, once in self.stores):
            return False
        return all(
            store is not None and store.buffer.same_as(sink) and _same_element(store.indices, indices, extents)
            for buffer, indices, store in self.loads
            if buffer.same_as(source)
        )

    def walk(self, func: tirx.PrimFunc) -> None:
        import tvm_ffi
        from tvm import ir, tirx
        from tvm.s_tir import SBlock, SBlockRealize

        body = func.body.block.body if isinstance(func.body, SBlockRealize) else func.body
        for self._statement, statement in enumerate(body.seq if isinstance(body, tirx.SeqStmt) else [body]):
            tvm_ffi.structural_visit(
                statement,
                [
                    (tirx.For, self._for),
                    (SBlockRealize, self._realize),
                    (SBlock, self._block),
                    (tirx.BufferStore, self._stored),
                    (ir.TensorLoad, self._loaded),
                    (ir.Call, self._call),
                    (ir.Var, self._var),
                ],
            )

    def _use(self, buffer: Any) -> None:
        first, _ = self.spans.get(buffer, (self._statement, 0))
        self.spans[buffer] = (first, self._statement)

    def _for(self, loop: Any, visitor: Any) -> None:
        from tvm import ir

        self._loops[loop.loop_var] = ir.Range.from_min_extent(loop.min, loop.extent)
        visitor.visit(loop.body)
        del self._loops[loop.loop_var]

    def _realize(self, realize: Any, visitor: Any) -> None:
        values = [self._in_loops(value) for value in realize.iter_values]
        self._predicates.append(self._in_loops(realize.predicate))
        self._bound |= {axis.var: value for axis, value in zip(realize.block.iter_vars, values, strict=True)}
        visitor.visit(realize.block)
        self._predicates.pop()

    def _block(self, block: Any, visitor: Any) -> None:
        for matched in block.match_buffers:
            self._var(matched.source.source, visitor)
        if block.init is not None:
            visitor.visit(block.init)
        visitor.visit(block.body)

    def _stored(self, store: Any, visitor: Any) -> None:
        outer, self._store = self._store, store
        visitor.visit(store.value)
        self._store = outer
        for index in store.indices:
            visitor.visit(index)
        self._use(store.buffer)
        self.stores.append((store.buffer, list(store.indices), self._once(store.indices)))

    def _loaded(self, load: Any, visitor: Any) -> None:
        self._use(load.source)
        self.loads.append((load.source, list(load.indices), self._store))
        for index in load.indices:
            visitor.visit(index)

    def _call(self, call: Any, visitor: Any) -> None:
        outer = self._store
        if getattr(call.op, "name", "") == "tirx.address_of":
            self._store = None  # what is loaded or stored through an address is not known
        for arg in call.args:
            visitor.visit(arg)
        self._store = outer

    def _var(self, var: Any, visitor: Any) -> None:
        self._use(var)
        self.other.append(var)

    def _once(self, indices: list[Any]) -> bool:
        """Whether the loops around reach these indices exactly once each."""
        from tvm import tirx
        from tvm.sym.iter_affine_map import IterMapLevel, detect_iter_map

        predicate = tirx.all(*self._predicates) if self._predicates else True
        flat = [self._in_loops(index) for index in indices]
        return not detect_iter_map(flat, self._loops, predicate, IterMapLevel.Bijective).errors

    def _in_loops(self, expr: Any) -> Any:
        """``expr`` in terms of the loops' variables."""
        import tvm_ffi
        from tvm import ir

        return tvm_ffi.structural_map(expr, (ir.Var, lambda var: self._bound.get(var, var)))


def _same_element(a: list[Any], b: list[Any], extents: list[int]) -> bool:
    import tvm_ffi

    # Where there is one element only, its index may be written as 0 or as a variable.
    return all(n == 1 or tvm_ffi.structural_equal(i, j) for i, j, n in zip(a, b, extents, strict=True))
