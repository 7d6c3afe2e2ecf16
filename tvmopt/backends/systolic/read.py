"""From an accelerator's subgraph in Relax to a graph."""

from __future__ import annotations

import tvm
from tvm import relax

from ...quant.regions import Region
from ...quant.relax_form.scope import op_name
from ...quant.subgraphs import Op, channels_last, ops, tensors
from .graph import Graph, Reshape, Step, Tensor, Transpose


def graph(mod: tvm.ir.IRModule, function: relax.Function) -> Graph:
    """The graph of a subgraph, all of whose ops ``step`` can read."""
    known: dict[relax.Var, Tensor] = {param: _tensor(param) for param in function.params}
    steps = []
    for op in ops(mod, function):
        what = _operator(op)
        assert not isinstance(what, str)
        known[op.var] = _tensor(op.var)
        steps.append(Step(what, tuple(known[var] for var in tensors(op.call)), known[op.var]))
    results = _results(function)
    inputs, outputs = ([known[var] for var in some] for some in (function.params, results))
    return Graph(inputs, outputs, steps, channels_last(mod, function))


def step(op: Op) -> Step | str:
    """An op as a step by itself; why it is none."""
    what = _operator(op)
    if isinstance(what, str):
        return what
    return Step(what, tuple(map(_tensor, tensors(op.call))), _tensor(op.var))


def _results(function: relax.Function) -> list[relax.Var]:
    """The variables of the ops whose results a function returns."""
    named = {binding.var: binding.value for block in function.body.blocks for binding in block.bindings}
    result = function.body.body
    if isinstance(named.get(result), relax.Var | relax.Tuple):
        result = named[result]
    return list(result.fields) if isinstance(result, relax.Tuple) else [result]


def _operator(op: Op) -> Region | Reshape | Transpose | str:
    if op.region is not None:
        return op.region
    name = op_name(op.call)
    if name == "relax.reshape":
        return Reshape()
    if name == "relax.permute_dims":
        rank, axes = op.call.args[0].ty.ndim, op.call.attrs.axes
        return Transpose(tuple(reversed(range(rank))) if axes is None else tuple(int(axis) % rank for axis in axes))
    return f"the accelerator has no {name.removeprefix('relax.')}"


def _tensor(var: relax.Expr) -> Tensor:
    return Tensor(str(var.name), tuple(int(dim) for dim in var.ty.shape), str(var.ty.dtype))
