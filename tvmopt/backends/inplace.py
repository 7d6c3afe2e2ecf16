"""Which kernels may write their output over an input: elementwise ones, by their (scheduled) TIR."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tvm import ir, tirx


def overwritable(func: tirx.PrimFunc, reads: int) -> set[tuple[int, int]]:
    """Pairs (input, output) of ``func`` that may be one piece of memory.

    func's first ``reads`` parameters are inputs, the others outputs; both are counted from 0. A pair is legal
    when each element of the input is read only to compute the output's element at the same index, which is
    stored once: then no order of the loops can overwrite an element that is still needed. Anything that this
    analysis does not understand (addresses taken, vectors loaded by hand, recomputed elements) is not legal.
    """
    uses = _Uses()
    uses.walk(func.body)
    pairs = set()
    for i, source in enumerate(func.params[:reads]):
        for o, sink in enumerate(func.params[reads:]):
            if _same_size(source.ty, sink.ty) and uses.elementwise(source, sink):
                pairs.add((i, o))
    return pairs


def _same_size(a: ir.Type, b: ir.Type) -> bool:
    import tvm

    same_shape = len(a.shape) == len(b.shape) and all(int(m) == int(n) for m, n in zip(a.shape, b.shape, strict=True))
    return same_shape and tvm.DataType(str(a.dtype)).bits == tvm.DataType(str(b.dtype)).bits


class _Uses:
    """How a function body uses its buffers."""

    def __init__(self) -> None:
        self.loads: list[tuple[Any, list[Any], Any]] = []  # buffer, indices, the store it is for (or None)
        self.stores: list[tuple[Any, list[Any], bool]] = []  # buffer, indices, whether each element is stored once
        self.other: list[Any] = []  # buffers used in any other way
        self._loops: dict[Any, Any] = {}  # variable -> range, of the loops around
        self._bound: dict[Any, Any] = {}  # block variable -> its value in those loops
        self._predicates: list[Any] = []
        self._store: Any = None

    def elementwise(self, source: tirx.Var, sink: tirx.Var) -> bool:
        """Whether ``source`` is only read to compute the same element of ``sink``, and that is stored once."""
        import tvm_ffi

        if any(buffer.same_as(v) for buffer in self.other for v in (source, sink)):
            return False
        if any(buffer.same_as(sink) for buffer, _, _ in self.loads):
            return False
        if not all(once for buffer, _, once in self.stores if buffer.same_as(sink)):
            return False
        if any(buffer.same_as(source) for buffer, _, _ in self.stores):
            return False
        return all(
            store is not None
            and store.buffer.same_as(sink)
            and tvm_ffi.structural_equal(list(store.indices), list(indices))
            for buffer, indices, store in self.loads
            if buffer.same_as(source)
        )

    def walk(self, root: Any) -> None:
        import tvm_ffi
        from tvm import ir, tirx
        from tvm.s_tir import SBlock, SBlockRealize

        tvm_ffi.structural_visit(
            root,
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
            self.other.append(matched.source.source)
        if block.init is not None:
            visitor.visit(block.init)
        visitor.visit(block.body)

    def _stored(self, store: Any, visitor: Any) -> None:
        outer, self._store = self._store, store
        visitor.visit(store.value)
        self._store = outer
        for index in store.indices:
            visitor.visit(index)
        self.stores.append((store.buffer, list(store.indices), self._once(store.indices)))

    def _loaded(self, load: Any, visitor: Any) -> None:
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
        self.other.append(var)

    def _once(self, indices: list[Any]) -> bool:
        """Whether the loops around reach these indices exactly once each."""
        from tvm import tirx
        from tvm.sym.iter_affine_map import IterMapLevel, detect_iter_map

        predicate = tirx.all(*self._predicates)
        flat = [self._in_loops(index) for index in indices]
        return not detect_iter_map(flat, self._loops, predicate, IterMapLevel.Bijective).errors

    def _in_loops(self, expr: Any) -> Any:
        """``expr`` in terms of the loops' variables."""
        import tvm_ffi
        from tvm import ir

        return tvm_ffi.structural_map(expr, (ir.Var, lambda var: self._bound.get(var, var)))
