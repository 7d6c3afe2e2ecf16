"""Channels that are constant, or that nothing reads, disappear."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relax
from tvm.ir import GlobalVar

from ..quant.regions import Binary, Region, Table
from ..quant.relax_form import from_function, to_function
from ..quant.relax_form.scope import Expr, Var, op_name, static_shape
from . import moves
from .channel_moves import Kept, effect_of_move, on_fewer
from .channels import Contraction, Effect, Known, effect, opaque, with_constant_operand
from .fewer_channels import on_fewer_channels, retyped
from .graph import Graph, Rewriter, operands, rewrite, substitute

REMOVED_CHANNELS = "tvmopt.removed_channels"
"""Module attribute: ONNX value name -> how many of its channels were removed."""

KEPT_CHANNELS = "tvmopt.kept_channels"
"""Module attribute: ONNX value name -> why it has channels that are constant or that nothing reads."""


@tvm.transform.module_pass(opt_level=0, name="tvmopt.FoldDeadChannels")
class FoldDeadChannels:
    """Rewrites, through the whole graph at once::

        region(x), y[:, c] the same for every input -> region without c; c in the bias of what reads y
        region(x), y[:, c] read by nothing          -> region without c
        region(x), x[:, c] multiplied by zeros      -> region without c in its weight
        add(x, y), all of y constant                -> add(x), y inside

    Bit-exact: what a constant channel adds to a sum is added to its int32 bias, and a channel that meets a
    padded border stays unless the padding has its value (or what comes of it there is the same).

    How many channels of a tensor went goes into the module's attribute ``tvmopt.removed_channels``; why constant or
    unread ones stay, where some do, into ``tvmopt.kept_channels``.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        removed: dict[str, int] = {}
        kept: dict[str, str] = {}

        def fold(graph: Graph, mod: tvm.IRModule) -> Rewriter:
            rewriter = _Fold(graph, mod)
            removed.update({var.name: int(np.sum(~left)) for var, left in rewriter.left.items() if not left.all()})
            kept.update(rewriter.reasons())
            return rewriter

        mod = _without_unused_composites(rewrite(mod, fold))
        return mod.with_attrs({REMOVED_CHANNELS: removed, KEPT_CHANNELS: kept})


@dataclass(frozen=True, eq=False)
class _Step:
    """A binding whose result is tracked: what computes it, from which operands, and what that does to channels."""

    operands: list[Var]
    effect: Effect
    region: Region | None = None
    move: tuple[relax.Call, int] | None = None


class _Fold(Rewriter):
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
        self.steps: dict[Var, _Step] = {}
        self.read_whole: set[Var] = set(operands(graph.output))
        for var in [*graph.function.params, *(var for var, _ in graph.bindings)]:
            self.analyse(var)
        self.left = self.settle()

    def analyse(self, var: Var) -> None:
        """Note what is known of ``var``, and what computes it."""
        value = self.old.bindings.get(var)
        if var in self.split:
            return
        shape = static_shape(var.ty)
        found = None if value is None or shape is None else self.step(var, value)
        if found is None:
            self.read_whole.update(() if value is None else operands(value))
            if shape is not None:
                found = _Step([], opaque(shape or (1,), np.dtype(str(var.ty.dtype)), 0, "it is not looked through"))
        if found is not None:
            self.steps[var] = found
            self.known[var] = found.effect.known

    def step(self, var: Var, value: Expr) -> _Step | None:
        if isinstance(value, Var) and value in self.known:
            known = self.known[value]
            return _Step([value], Effect(known, [np.arange(len(known.mask))]))
        if isinstance(value, relax.TupleGetItem):
            call = self.split.get(value.tuple_value)
            return None if call is None else self.move_step(call, value.index)
        if not isinstance(value, relax.Call):
            return None
        if not isinstance(value.op, GlobalVar):
            return self.move_step(value, 0)
        region = from_function(self.mod[value.op]) if _is_composite(self.mod, value.op) else None
        inputs = list(value.args)
        if region is None or not all(operand in self.known for operand in inputs):
            return None
        if isinstance(region, Binary):
            region, stays = with_constant_operand(region, [self.known[operand] for operand in inputs])
            inputs = [inputs[i] for i in stays]
        return _Step(inputs, effect(region, self.shape(var), *(self.known[operand] for operand in inputs)), region)

    def move_step(self, call: relax.Call, index: int) -> _Step | None:
        sources = moves.moved(call) or []
        if not sources or not all(isinstance(source, Var) and source in self.known for source in sources):
            return None
        if len(sources) > 1 and op_name(call) != "relax.concat":
            return None
        if any(source.ty.ndim == 0 for source in sources):
            return None
        found = effect_of_move(call, [self.known[source] for source in sources], index)
        return _Step(list(sources), found, move=(call, index))

    def shape(self, var: Var) -> tuple[int, ...]:
        return static_shape(var.ty) or (1,)

    def settle(self) -> dict[Var, np.ndarray]:
        """Which channels of each tensor are left: the fewest that everything needs, and one at least."""
        left = self.read()
        for var, step in self.steps.items():
            left[var] |= bool(step.effect.whole)
        while True:
            self.spread(left, both_ways=True)
            empty = [channels for channels in left.values() if channels.size and not channels.any()]
            if not empty:
                return left
            empty[-1][0] = True

    def read(self) -> dict[Var, np.ndarray]:
        """The channels of each tensor that something reads which is not looked through."""
        return {var: np.full(len(known.mask), var in self.read_whole) for var, known in self.known.items()}

    def spread(self, left: dict[Var, np.ndarray], both_ways: bool) -> None:
        """Mark all channels that those marked already need; both ways: also those that cannot go without them."""
        changed = True
        while changed:
            changed = False
            for var, step in reversed(self.steps.items()):
                tensors = [left[var], *(left[operand] for operand in step.operands)]
                before = [tensor.sum() for tensor in tensors]
                _spread(tensors[0], tensors[1:], step.effect, both_ways)
                changed |= before != [tensor.sum() for tensor in tensors]

    def reasons(self) -> dict[str, str]:
        """Why tensors keep channels that are constant, or that nothing reads."""
        read = self.read()
        self.spread(read, both_ways=False)
        found: dict[str, str] = {}
        for var, step in reversed(self.steps.items()):
            idle = self.left[var] & (step.effect.known.mask | ~read[var])
            if idle.any():
                shared = "other tensors that keep them have the same channels"
                found[var.name] = step.effect.whole or next(self.readers(var, idle), shared)
            if var.name in found:
                for operand, labels in zip(step.operands, step.effect.labels, strict=False):
                    if labels is None:
                        found.setdefault(operand.name, f"'{var.name}' reads all of it")
        return found

    def readers(self, var: Var, constant: np.ndarray) -> Iterator[str]:
        """What reads constant channels of ``var`` in a way that they do not fold into."""
        if var in self.read_whole:
            yield "all of it is read by what is not looked through, or is a result of the model"
        for reader, step in self.steps.items():
            sums = step.effect.contraction
            if sums is not None and var == step.operands[0] and (_needed(sums, self.left[reader]) & constant).any():
                yield f"'{reader.name}' sums its constants differently at padded borders, or from place to place"

    def substituted(self, value: Expr, replacements: dict[Var, Expr]) -> Expr:
        """Without its type: a region's function does not fit operands that have lost channels."""
        return substitute(value, replacements)

    def visit(self, var: Var, value: Expr) -> None:
        step = self.steps.get(var)
        if var in self.split and not self.left[self.split[var].args[0]].all():
            return  # its parts are slices now
        if step is None or self.is_same(var, step):
            self.bind(var, value)
            return
        inputs = [substitute(operand, self.replaced) for operand in step.operands]
        if step.region is not None:
            function = self.folded(var, step, [operand.ty for operand in inputs])
            name = f"{self.old.bindings[var].op.name_hint}_folded"
            result: Expr = relax.Call(self.builder.add_func(function, name), inputs)
        elif step.move is not None:
            result = on_fewer(
                step.move[0], inputs, step.move[1], self.kept(var, step), lambda e: self.emit(e, var.name)
            )
        else:
            result = inputs[0]
        if isinstance(var, relax.DataflowVar):
            self.replaced[var] = result if isinstance(result, Var) else self.emit(result, var.name)
        else:
            self.bind(var, result)

    def is_same(self, var: Var, step: _Step) -> bool:
        """Whether a binding keeps all channels, and all operands."""
        value = self.old.bindings[var]
        fewer = step.region is not None and len(step.operands) < len(value.args)
        return not fewer and all(self.left[tensor].all() for tensor in (var, *step.operands))

    def kept(self, var: Var, step: _Step) -> Kept:
        known = step.effect.known
        labels = step.effect.labels[0]
        assert labels is not None
        left = labels[self.left[var]]
        return Kept(known.shape, known.axis, left, np.searchsorted(np.flatnonzero(self.left[step.operands[0]]), left))

    def folded(self, var: Var, step: _Step, types: list[relax.TensorType]) -> relax.Function:
        """The composite's function for the channels that are left."""
        assert step.region is not None
        if isinstance(step.region, Table):
            return retyped(self.mod[self.old.bindings[var].op], types[0], var.name)
        outputs = np.flatnonzero(self.left[var])
        x = step.operands[0]
        region = on_fewer_channels(step.region, step.effect, outputs, np.flatnonzero(self.left[x]), self.known[x])
        return to_function(region, types, var.name)


def _spread(y: np.ndarray, xs: list[np.ndarray], how: Effect, both_ways: bool) -> None:
    """Mark in xs the channels that an op needs for those marked in y; both ways: in y those that it gives anyway."""
    if how.contraction is not None:
        xs[0] |= _needed(how.contraction, y)
    for x, labels in zip(xs, how.labels, strict=False):
        if labels is None:
            x[:] = True
            continue
        from_x = labels >= 0
        reads = from_x if both_ways or how.ignored is None else from_x & ~how.ignored
        x[labels[y & reads]] = True
        if both_ways:
            y |= from_x & x[labels]


def _needed(contraction: Contraction, outputs: np.ndarray) -> np.ndarray:
    """Inputs that do not fold into the bias of the outputs that are left."""
    return contraction.nonzero[outputs].any(axis=0) & ~contraction.foldable


def _is_composite(mod: tvm.IRModule, name: GlobalVar) -> bool:
    return "Composite" in (mod[name].attrs or {})


def _without_unused_composites(mod: tvm.IRModule) -> tvm.IRModule:
    used = {
        value.op
        for function in mod.functions.values()
        if isinstance(function, relax.Function) and (graph := Graph.of(function)) is not None
        for _, value in graph.bindings
        if isinstance(value, relax.Call) and isinstance(value.op, GlobalVar)
    }
    kept = {name: f for name, f in mod.functions.items() if name in used or not _is_composite(mod, name)}
    return tvm.IRModule(kept, attrs=mod.attrs, global_infos=mod.global_infos)
