"""What passes on channels share: which ops the channels of a graph go through, and ops on other channels."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relax
from tvm.ir import GlobalVar

from ..quant.regions import Binary, Region, Table
from ..quant.relax_form import from_function, to_function
from ..quant.relax_form.scope import Expr, Var, op_name, static_shape
from . import moves
from .channel_moves import ALONG, Kept, effect_of_move, on_fewer
from .channels import Effect, effect, opaque, with_constant_operand
from .fewer_channels import on_fewer_channels, retyped
from .graph import Graph, Rewriter, operands, substitute
from .known import Known


@dataclass(frozen=True, eq=False)
class Step:
    """A binding whose result is tracked: what computes it, from which operands, and what that does to channels."""

    operands: list[Var]
    effect: Effect
    region: Region | None = None
    move: tuple[relax.Call, int] | None = None


class ChannelRewriter(Rewriter, ABC):
    """Writes a graph anew on other channels: fewer, or in another order.

    Attributes
    ----------
    known      : what is known of each tensor.
    steps      : what computes each.
    read_whole : tensors that something reads which is not looked through, and what that is.
    order      : per tensor, which of its channels there will be, in order: int [channels that stay].
    """

    def __init__(self, graph: Graph, mod: tvm.IRModule) -> None:
        super().__init__(graph, mod)
        self.mod = mod
        parts = Counter(value.tuple_value for _, value in graph.bindings if isinstance(value, relax.TupleGetItem))
        self.split = {
            var: call
            for var, count in parts.items()
            if count == self.uses[var] and (call := self.old.call(var, "relax.split")) is not None
        }
        self.known: dict[Var, Known] = {}
        self.steps: dict[Var, Step] = {}
        self.read_whole: dict[Var, str] = dict.fromkeys(operands(graph.output), "it is a result of the model")
        for var in [*graph.function.params, *(var for var, _ in graph.bindings)]:
            self._analyse(var)
        self.order = self.choose()

    @abstractmethod
    def choose(self) -> dict[Var, np.ndarray]:
        """``order``, by what the other attributes tell."""

    def _analyse(self, var: Var) -> None:
        """Note what is known of ``var``, and what computes it."""
        value = self.old.bindings.get(var)
        if var in self.split:
            return
        shape = static_shape(var.ty)
        found = None if value is None or shape is None else self._step(var, value)
        if found is None:
            for operand in () if value is None else operands(value):
                self.read_whole.setdefault(operand, f"'{var.name}' reads all of it")
            if shape is not None:
                found = Step([], opaque(shape or (1,), np.dtype(str(var.ty.dtype)), 0, "it is not looked through"))
        if found is not None:
            self.steps[var] = found
            self.known[var] = found.effect.known

    def _step(self, var: Var, value: Expr) -> Step | None:
        if isinstance(value, Var) and value in self.known:
            known = self.known[value]
            return Step([value], Effect(known, [np.arange(len(known.mask))]))
        if isinstance(value, relax.TupleGetItem):
            call = self.split.get(value.tuple_value)
            return None if call is None else self._move(call, value.index)
        if not isinstance(value, relax.Call):
            return None
        if not isinstance(value.op, GlobalVar):
            return self._move(value, 0)
        composite = "Composite" in (self.mod[value.op].attrs or {})
        region = from_function(self.mod[value.op]) if composite else None
        inputs = list(value.args)
        if region is None or not all(operand in self.known for operand in inputs):
            return None
        if isinstance(region, Binary):
            region, stays = with_constant_operand(region, [self.known[operand] for operand in inputs])
            inputs = [inputs[i] for i in stays]
        shape = static_shape(var.ty) or (1,)
        return Step(inputs, effect(region, shape, *(self.known[operand] for operand in inputs)), region)

    def _move(self, call: relax.Call, index: int) -> Step | None:
        sources = [call.args[0]] if op_name(call) in ALONG else moves.moved(call) or []
        if not sources or not all(isinstance(source, Var) and source in self.known for source in sources):
            return None
        if len(sources) > 1 and op_name(call) != "relax.concat":
            return None
        if any(source.ty.ndim == 0 for source in sources):
            return None
        found = effect_of_move(call, [self.known[source] for source in sources], index)
        return Step(list(sources), found, move=(call, index))

    def is_same(self, var: Var) -> bool:
        """Whether a tensor keeps all its channels as they are."""
        return np.array_equal(self.order[var], np.arange(len(self.known[var].mask)))

    def substituted(self, value: Expr, replacements: dict[Var, Expr]) -> Expr:
        """Without its type: a region's function does not fit operands on other channels."""
        return substitute(value, replacements)

    def visit(self, var: Var, value: Expr) -> None:
        step = self.steps.get(var)
        if var in self.split and not self.is_same(self.split[var].args[0]):
            return  # its parts are slices now
        if step is None or self._stays(var, step):
            self.bind(var, value)
            return
        inputs = [substitute(operand, self.replaced) for operand in step.operands]
        if step.region is not None:
            function = self._reordered(var, step, [operand.ty for operand in inputs])
            name = f"{self.old.bindings[var].op.name_hint}_folded"
            result: Expr = relax.Call(self.builder.add_func(function, name), inputs)
        elif step.move is not None:
            call, index = step.move
            result = on_fewer(call, inputs, index, self._kept(var, step), lambda e: self.emit(e, var.name))
        else:
            result = inputs[0]
        if isinstance(var, relax.DataflowVar):
            self.replaced[var] = result if isinstance(result, Var) else self.emit(result, var.name)
        else:
            self.bind(var, result)

    def _stays(self, var: Var, step: Step) -> bool:
        """Whether a binding keeps all channels, and all operands."""
        fewer = step.region is not None and len(step.operands) < len(self.old.bindings[var].args)
        return not fewer and all(map(self.is_same, (var, *step.operands)))

    def _kept(self, var: Var, step: Step) -> Kept:
        known, source = step.effect.known, step.operands[0]
        labels = step.effect.labels[0] if step.effect.tied is None else np.unique(step.effect.tied[0], True)[1]
        assert labels is not None
        places = np.zeros(len(self.known[source].mask), int)
        places[self.order[source]] = np.arange(len(self.order[source]))
        left = labels[self.order[var]]
        return Kept(known.shape, known.axis, left, places[left])

    def _reordered(self, var: Var, step: Step, types: list[relax.TensorType]) -> relax.Function:
        """The composite's function for the channels that there will be."""
        assert step.region is not None
        if isinstance(step.region, Table):
            return retyped(self.mod[self.old.bindings[var].op], types[0], var.name)
        x = step.operands[0]
        region = on_fewer_channels(step.region, step.effect, self.order[var], self.order[x], self.known[x])
        return to_function(region, types, var.name)


def without_unused_composites(mod: tvm.IRModule) -> tvm.IRModule:
    """The module without composites that nothing calls any more."""
    used = {
        value.op
        for function in mod.functions.values()
        if isinstance(function, relax.Function) and (graph := Graph.of(function)) is not None
        for _, value in graph.bindings
        if isinstance(value, relax.Call) and isinstance(value.op, GlobalVar)
    }
    kept = {name: f for name, f in mod.functions.items() if name in used or "Composite" not in (f.attrs or {})}
    return tvm.IRModule(kept, attrs=mod.attrs, global_infos=mod.global_infos)
