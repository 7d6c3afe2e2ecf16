"""A subgraph as a TOSA graph."""

from __future__ import annotations

import tvm
from tvm import relax

from ...quant.order import channels_last, plain
from ...quant.regions import ArgMax, Binary, Concat, Conv, MatMul, Pool, Softmax, Table
from ...quant.relax_form.scope import Var, static_shape
from ...quant.subgraphs import Op
from ...quant.subgraphs import channels_last as lies_channels_last
from . import contractions, elementwise, moves, reductions
from .graph import Graph
from .value import Value, fetch


def build(mod: tvm.IRModule, function: relax.Function) -> Graph:
    """The graph of a subgraph whose ops ``supports`` took; inputs and outputs as ``quant.subgraphs`` says."""
    graph = Graph()
    last = lies_channels_last(mod, function)
    held: dict[Var, moves.Moved] = {}
    for param in function.params:
        shape = static_shape(param.ty)
        assert shape is not None
        order = _boundary(len(shape), last)
        held[param] = Value(graph.input([shape[axis] for axis in order]), order)
    for block in function.body.blocks:
        for binding in block.bindings:
            held[binding.var] = _emit(graph, mod, binding.var, binding.value, held)
    result = held[function.body.body]
    for value in result if isinstance(result, list) else [result]:
        index = value.tensor.dtype == "int32"
        graph.outputs.append(fetch(graph, value, _boundary(len(value.order), last and not index)))
    return graph


def _boundary(rank: int, last: bool) -> tuple[int, ...]:
    return channels_last(rank) if last and rank >= 3 else plain(rank)


def _emit(graph: Graph, mod: tvm.IRModule, var: Var, value: relax.Expr, held: dict[Var, moves.Moved]) -> moves.Moved:
    if isinstance(value, Var):
        return held[value]
    if isinstance(value, relax.TupleGetItem):
        parts = held[value.tuple_value]
        assert isinstance(parts, list)
        return parts[value.index]
    if isinstance(value, relax.Tuple):
        return [_single(held[field]) for field in value.fields]
    op = Op.of(mod, var, value)
    graph.label = var.name
    fields = [field for arg in value.args for field in (arg.fields if isinstance(arg, relax.Tuple) else [arg])]
    inputs = [_single(held[field]) for field in fields if isinstance(field, Var)]
    return moves.move(graph, op, inputs) if op.region is None else _region(graph, op, inputs)


def _single(value: moves.Moved) -> Value:
    assert isinstance(value, Value)
    return value


def _region(graph: Graph, op: Op, inputs: list[Value]) -> Value:
    match op.region:
        case Conv() as region:
            return contractions.conv(graph, region, inputs[0], op.output)
        case MatMul() as region:
            return contractions.matmul(graph, region, inputs[0], inputs[1:], op.output)
        case Pool() as region:
            return elementwise.pool(graph, region, inputs[0], op.output)
        case Binary() as region:
            return elementwise.binary(graph, region, inputs)
        case Table() as region:
            return elementwise.table(graph, region, inputs[0])
        case Concat() as region:
            return elementwise.concat(graph, region, inputs)
        case Softmax() as region:
            return reductions.softmax(graph, region, inputs[0])
        case ArgMax() as region:
            return reductions.argmax(graph, region, inputs[0], op.output)
    raise TypeError(f"no TOSA form for {type(op.region).__name__}")
