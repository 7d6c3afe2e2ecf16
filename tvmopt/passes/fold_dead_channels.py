"""Channels that are constant, or that nothing reads, disappear."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import tvm
from tvm import relax
from tvm.ir import GlobalVar

from ..quant.regions import Binary, Conv, MatMul, Region, Table
from ..quant.relax_form import from_function, to_function
from ..quant.relax_form.scope import Expr, Var, op_name, static_shape
from ..quant.relax_form.write import composite
from ..quant.slicing import centered, depthwise_sliced, is_depthwise, sliced
from . import moves
from .channel_moves import Kept, effect_of_move, on_fewer
from .channels import Contraction, Effect, Known, effect, opaque
from .graph import Graph, Rewriter, operands, rewrite, substitute


@tvm.transform.module_pass(opt_level=0, name="tvmopt.FoldDeadChannels")
class FoldDeadChannels:
    """Rewrites, through the whole graph at once::

        region(x), y[:, c] the same for every input -> region without c; c in the bias of what reads y
        region(x), y[:, c] read by nothing          -> region without c
        region(x), x[:, c] multiplied by zeros      -> region without c in its weight

    Bit-exact: what a constant channel adds to a sum is added to its int32 bias, and a channel that meets a
    padded border stays unless the padding has its value (or what comes of it there is the same).
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        return _without_unused_composites(rewrite(mod, _Fold))


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
        self.known: dict[Var, Known] = {}
        self.steps: dict[Var, _Step] = {}
        self.whole: set[Var] = set(operands(graph.output))
        for var in [*graph.function.params, *(var for var, _ in graph.bindings)]:
            self.analyse(var)
        self.left = self.settle()

    def analyse(self, var: Var) -> None:
        """Note what is known of ``var``, and what computes it."""
        value = self.old.bindings.get(var)
        shape = static_shape(var.ty)
        found = None if value is None or shape is None else self.step(var, value)
        if found is None:
            self.whole.update([var, *(() if value is None else operands(value))])
            if shape is not None:
                found = _Step([], opaque(shape or (1,), np.dtype(str(var.ty.dtype)), 0, "it is not looked through"))
        if found is not None:
            self.steps[var] = found
            self.known[var] = found.effect.known
            if found.effect.whole:
                self.whole.add(var)

    def step(self, var: Var, value: Expr) -> _Step | None:
        if isinstance(value, Var) and value in self.known:
            known = self.known[value]
            return _Step([value], Effect(known, [np.arange(len(known.mask))]))
        if isinstance(value, relax.TupleGetItem):
            call = self.old.value(value.tuple_value)
            return self.move_step(call, value.index) if isinstance(call, relax.Call) else None
        if not isinstance(value, relax.Call):
            return None
        if not isinstance(value.op, GlobalVar):
            return self.move_step(value, 0)
        region = from_function(self.mod[value.op]) if _is_composite(self.mod, value.op) else None
        inputs = list(value.args)
        if region is None or not all(operand in self.known for operand in inputs):
            return None
        known = [self.known[operand] for operand in inputs]
        return _Step(inputs, effect(region, self.shape(var), *known), region)

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
        left = {var: np.full(len(known.mask), var in self.whole) for var, known in self.known.items()}
        while True:
            changed = False
            for var, step in reversed(self.steps.items()):
                before = [left[var].sum(), *(left[operand].sum() for operand in step.operands)]
                _spread(left[var], [left[operand] for operand in step.operands], step.effect)
                changed |= before != [left[var].sum(), *(left[operand].sum() for operand in step.operands)]
            if changed:
                continue
            empty = [channels for channels in left.values() if not channels.any()]
            if not empty:
                return left
            empty[-1][0] = True

    def substituted(self, value: Expr, replacements: dict[Var, Expr]) -> Expr:
        """Without its type: a region's function does not fit operands that have lost channels."""
        return substitute(value, replacements)

    def visit(self, var: Var, value: Expr) -> None:
        step = self.steps.get(var)
        if step is None or all(self.left[tensor].all() for tensor in (var, *step.operands)):
            self.bind(var, value)
            return
        inputs = [substitute(operand, self.replaced) for operand in step.operands]
        if step.region is not None:
            function = self.folded(var, step, [operand.ty for operand in inputs])
            name = f"{self.old.bindings[var].op.name_hint}_folded"
            result: Expr = relax.Call(self.builder.add_func(function, name), inputs)
        elif step.move is not None:
            result = on_fewer(step.move[0], inputs, step.move[1], self.kept(var, step), lambda e: self.emit(e, var.name))
        else:
            result = inputs[0]
        if isinstance(var, relax.DataflowVar):
            self.replaced[var] = result if isinstance(result, Var) else self.emit(result, var.name)
        else:
            self.bind(var, result)

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
            return _retyped(self.mod[self.old.bindings[var].op], types[0], var.name)
        outputs = np.flatnonzero(self.left[var])
        x = step.operands[0]
        region = _on_fewer(step.region, step.effect, outputs, np.flatnonzero(self.left[x]), self.known[x])
        return to_function(region, types, var.name)


def _spread(y: np.ndarray, xs: list[np.ndarray], how: Effect) -> None:
    """Mark in y and xs the channels that an op needs to have left, given those that are."""
    if how.contraction is not None:
        xs[0] |= _needed(how.contraction, y)
    for x, labels in zip(xs, how.labels, strict=False):
        if labels is None:
            x[:] = True
            continue
        from_x = labels >= 0
        x[labels[y & from_x]] = True
        y |= from_x & x[labels]


def _needed(contraction: Contraction, outputs: np.ndarray) -> np.ndarray:
    """Inputs that do not fold into the bias of the outputs that are left."""
    return contraction.nonzero[outputs].any(axis=0) & ~contraction.foldable


def _on_fewer(region: Region, how: Effect, outputs: np.ndarray, inputs: np.ndarray, x: Known) -> Region:
    """``region`` for the channels ``outputs`` of its result, reading those ``inputs`` of x that are left."""
    if isinstance(region, (Conv, MatMul)):
        if isinstance(region, Conv) and is_depthwise(region):
            return depthwise_sliced(region, outputs)
        return sliced(_with_constants_in_bias(region, inputs, x), inputs, outputs)
    if isinstance(region, Binary) and region.constant is not None:
        at = how.known.axis - len(how.known.shape) + region.constant.ndim
        if at >= 0 and region.constant.shape[at] == len(how.known.mask):
            return replace(region, constant=region.constant.take(outputs, at))
    return region


def _with_constants_in_bias(region: Conv | MatMul, inputs: np.ndarray, x: Known) -> Conv | MatMul:
    """What the inputs that go contribute, which is constant, in the bias; int32, as it wraps in the sum itself."""
    params = region.x if isinstance(region, Conv) else region.a
    assert params is not None
    gone = np.ones(len(x.mask), bool)
    gone[inputs] = False
    _, value = x.uniform()
    weight = centered(region).sum(axis=2, dtype=np.int64)[:, gone]
    added = weight @ np.where(x.mask, value - int(params.zero_point), 0)[gone].astype(np.int64)
    if not added.any():
        return region
    bias = np.zeros(len(added), np.int32) if region.bias is None else region.bias
    return replace(region, bias=(bias + added).astype(np.int32))


def _retyped(function: relax.Function, type_: relax.TensorType, name: str) -> relax.Function:
    """An elementwise composite of one input, for another shape."""
    param = Var("x0", type_)

    def write(body: relax.BlockBuilder) -> Expr:
        copies: dict[Var, Expr] = {function.params[0]: param}
        for binding in function.body.blocks[0].bindings[:-1]:
            copies[binding.var] = body.emit(substitute(binding.value, copies), binding.var.name)
        return substitute(function.body.blocks[0].bindings[-1].value, copies)

    return composite("table", [param], write, name)


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
