"""What an accelerator takes becomes subgraphs, as large as possible; the rest stays with its host."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator

import numpy as np
import tvm
from tvm import relax
from tvm.ir import GenericConst

from ..model import Model, PassRecord
from ..quant.cost import call_costs, calls
from ..quant.regions import ArgMax
from ..quant.relax_form.scope import Expr, Var, is_8bit, static_shape
from ..quant.subgraphs import CODEGEN, Op, subgraphs, tensors
from .graph import Graph, operands, substitute

HOST_REASONS = "tvmopt.host_reasons"
"""Module attribute: ONNX value name -> why the op that computes it stays with the accelerator's host."""

Supports = Callable[[Op], "str | None"]
"""Why an accelerator does not take an op; None where it does."""


def partition(model: Model, kind: str, supports: Supports) -> Model:
    """Apply ``Partition`` to a model of regions; fills ``host_reasons``.

    Appends a PassRecord of ops and "macs" of the model, and of "accelerated_macs" in how many "subgraphs".
    """
    macs = {name: cost["macs"] for (_, name), cost in zip(calls(model.mod), call_costs(model.mod), strict=True)}
    mod = tvm.transform.Sequential([Partition(kind, supports)])(model.mod)
    reasons = {str(value): str(reason) for value, reason in dict(mod.get_attr(HOST_REASONS)).items()}
    before = {"ops": len(macs), "macs": sum(macs.values())}
    accelerated = before["macs"] - sum(macs.get(name, 0) for name in reasons)
    after = {"ops": len(calls(mod)), "accelerated_macs": accelerated, "subgraphs": len(subgraphs(mod))}
    record = PassRecord("Partition", before, {**before, **after})
    return model.replace(mod=mod, history=(*model.history, record), host_reasons=reasons)


@tvm.transform.module_pass(opt_level=0, name="tvmopt.Partition")
class Partition:
    """Rewrites::

        a = region(x); b = move(a); c = region(b, a); d = other(c) -> c = subgraph(x); d = other(c)

    ``subgraph`` is a private function with the attribute ``Codegen = kind``, whose body is the ops it replaces. Ops
    between 8-bit tensors that ``supports`` takes are merged with their neighbours as long as no value then leaves a
    subgraph and comes back to it. Moves at the edge of a subgraph stay outside, where they often cost nothing.

    Why an op is in no subgraph goes into the module's attribute ``tvmopt.host_reasons``.
    """

    def __init__(self, kind: str, supports: Supports) -> None:
        self.kind, self.supports = kind, supports

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        graph = Graph.of(mod["main"])
        if graph is None:
            return mod.with_attr(HOST_REASONS, {"main": "it has control flow, or operators with effects"})
        units = _Units(mod, graph, self.supports)
        units.merge()
        units.trim()
        mod = _extract(mod, graph, units, self.kind)
        return mod.with_attr(HOST_REASONS, units.reasons)


class _Units:
    """Bindings of ``main`` by index, each in the unit that its op is merged into."""

    def __init__(self, mod: tvm.IRModule, graph: Graph, supports: Supports) -> None:
        self.values = [value for _, value in graph.bindings]
        self.reasons: dict[str, str] = {}
        self.names = [var.name for var, _ in graph.bindings]
        index = {var: i for i, (var, _) in enumerate(graph.bindings)}
        self.producers = [[index[v] for v in operands(value) if v in index] for value in self.values]
        self.consumers: list[list[int]] = [[] for _ in self.values]
        for i, producers in enumerate(self.producers):
            for p in producers:
                self.consumers[p].append(i)
        self.taken: set[int] = set()
        self.regions: set[int] = set()
        for i, (var, value) in enumerate(graph.bindings):
            if isinstance(value, relax.TupleGetItem):  # a part of what a split gives is where the split is
                if any(p in self.taken for p in self.producers[i]):
                    self.taken.add(i)
            elif isinstance(value, relax.Call):
                op = Op.of(mod, var, value)
                reason = _unfit(op) or supports(op)
                if reason is None:
                    self.taken.add(i)
                    if op.region is not None:
                        self.regions.add(i)
                else:
                    self.reasons[var.name] = reason
        self.unit = list(range(len(self.values)))
        self.members = [[i] for i in self.unit]

    def merge(self) -> None:
        """Join every op with the neighbours before it, where that makes no cycle."""
        for i in sorted(self.taken):
            for p in self.producers[i]:
                a, b = self.unit[p], self.unit[i]
                if p in self.taken and a != b and not self.detour(a, b) and not self.detour(b, a):
                    for member in self.members[b]:
                        self.unit[member] = a
                    self.members[a] = sorted(self.members[a] + self.members[b])
                    self.members[b] = []

    def detour(self, a: int, b: int) -> bool:
        """Whether a value of unit a reaches unit b through others."""
        pending, seen = [a], {a, b}
        while pending:
            unit = pending.pop()
            for after in self.after(unit):
                if after == b and unit != a:
                    return True
                if after not in seen:
                    seen.add(after)
                    pending.append(after)
        return False

    def after(self, unit: int) -> set[int]:
        """The units that use what one computes."""
        return {self.unit[c] for member in self.members[unit] for c in self.consumers[member]} - {unit}

    def trim(self) -> None:
        """Take moves at the edges out of their units."""
        loose = [i for i in sorted(self.taken) if self.at_edge(i)]
        while loose:
            for i in loose:
                self.members[self.unit[i]].remove(i)
                self.taken.remove(i)
                self.members.append([i])
                self.unit[i] = len(self.members) - 1
                if isinstance(self.values[i], relax.Call):
                    self.reasons[self.names[i]] = "it moves elements at the edge of what is accelerated"
            loose = [i for i in sorted(self.taken) if self.at_edge(i)]

    def at_edge(self, i: int) -> bool:
        """Whether a move has nothing of its unit before it, or nothing behind."""
        if i in self.regions:
            return False
        first = not any(p in self.taken and self.unit[p] == self.unit[i] for p in self.producers[i])
        return first or (isinstance(self.values[i], relax.Call) and not self.used_inside(i))

    def used_inside(self, i: int) -> bool:
        inside = [c for c in self.consumers[i] if c in self.taken and self.unit[c] == self.unit[i]]
        return any(isinstance(self.values[c], relax.Call) or self.used_inside(c) for c in inside)

    def ordered(self) -> Iterator[list[int]]:
        """The members of every unit, such that each comes after those it depends on."""
        waiting = {u: 0 for u, members in enumerate(self.members) if members}
        for unit in waiting:
            for after in self.after(unit):
                waiting[after] += 1
        ready = [(self.members[unit][0], unit) for unit, count in waiting.items() if count == 0]
        heapq.heapify(ready)
        while ready:
            _, unit = heapq.heappop(ready)
            yield self.members[unit]
            for after in self.after(unit):
                waiting[after] -= 1
                if waiting[after] == 0:
                    heapq.heappush(ready, (self.members[after][0], after))


def _unfit(op: Op) -> str | None:
    """Why no accelerator takes an op."""
    taken = tensors(op.call)
    given = op.var.ty.fields if isinstance(op.var.ty, relax.TupleType) else [op.var.ty]
    types = [*(tensor.ty for tensor in taken), *given]
    if any(not isinstance(type_, relax.TensorType) or static_shape(type_) is None for type_ in types):
        return "its shape is not known when compiling"
    dtypes = [np.dtype(str(type_.dtype)) for type_ in types]
    if any(dtype.kind == "f" for dtype in dtypes):
        return "it takes or gives float tensors"
    if isinstance(op.region, ArgMax):
        dtypes.pop()
    if not all(map(is_8bit, dtypes)):
        return "not all of its inputs and outputs are 8-bit tensors"
    return "one of its operands is a constant" if any(isinstance(tensor, GenericConst) for tensor in taken) else None


def _extract(mod: tvm.IRModule, graph: Graph, units: _Units, kind: str) -> tvm.IRModule:
    """``main`` with calls in place of units that are taken."""
    builder = relax.BlockBuilder(mod)
    returned = set(operands(graph.output))
    bindings: list[tuple[Var, Expr]] = []
    for members in units.ordered():
        if members[0] not in units.taken:
            bindings += [graph.bindings[i] for i in members]
            continue
        inner = [graph.bindings[i] for i in members]
        own = {var for var, _ in inner}
        inputs = list(dict.fromkeys(v for _, value in inner for v in operands(value) if v not in own))
        outside = {graph.bindings[i][0] for i in members if not set(members).issuperset(units.consumers[i])}
        outputs = [var for var, _ in inner if var in outside | returned]
        function = _subgraph(builder, kind, inputs, inner, outputs)
        call = builder.normalize(relax.Call(function, inputs))
        if len(outputs) == 1:
            bindings.append((outputs[0], call))
            continue
        several = relax.DataflowVar(function.name_hint, call.ty)
        bindings.append((several, call))
        bindings += [(var, builder.normalize(relax.TupleGetItem(several, i))) for i, var in enumerate(outputs)]
    main = Graph(graph.function, graph.params, bindings, graph.output).build()
    mod = builder.get()
    mod.update_func(mod.get_global_var("main"), main)
    return mod


def _subgraph(
    builder: relax.BlockBuilder,
    kind: str,
    inputs: list[Var],
    bindings: list[tuple[Var, Expr]],
    outputs: list[Var],
) -> tvm.ir.GlobalVar:
    """Add the function of ``inputs`` that computes ``bindings`` and returns ``outputs``."""
    params = [Var(var.name, var.ty) for var in inputs]
    copies: dict[Var, Expr] = dict(zip(inputs, params, strict=True))
    with builder.function(kind.replace("-", "_"), params, attrs={CODEGEN: kind}, private=True):
        with builder.dataflow():
            for var, value in bindings:
                value = builder.normalize(substitute(value, copies))
                copies[var] = relax.DataflowVar(var.name, var.ty)  # with the ONNX value's name, which `emit` changes
                builder.emit_normalized(relax.VarBinding(copies[var], value))
            results = [copies[var] for var in outputs]
            result = builder.emit_output(results[0] if len(results) == 1 else relax.Tuple(results))
        return builder.emit_func_output(result)
