"""Checks on the parsed file: names, edges and stored values, before anything is built from them."""

from __future__ import annotations

import graphlib
from collections.abc import Iterable, Iterator

import numpy as np
import onnx
import onnx_ir as ir
from onnx import TensorProto

from ..errors import ModelError, UnsupportedError
from .read import tensors

OLDEST_OPSET = 6


def check(proto: onnx.ModelProto) -> None:
    """Raise ModelError unless ``proto`` is a well-formed graph of nodes.

    Opset known; at least one node; every name defined once; every input and graph output defined; no cycle;
    integer tensors stored in ``int32_data`` within their data type's range.
    """
    _check_opset(proto)
    if not proto.graph.node:
        raise ModelError("the graph is empty: it has no nodes")
    _check_scope(proto.graph, frozenset())
    for tensor in tensors(proto.graph):
        _check_range(tensor)


def label(node: onnx.NodeProto) -> str:
    """What to call a node in a message: its name, or its operator and first output."""
    return node.name or f"{node.op_type}:{next(filter(None, node.output), '')}"


def _check_opset(proto: onnx.ModelProto) -> None:
    newest = onnx.defs.onnx_opset_version()
    versions = [opset.version for opset in proto.opset_import if opset.domain in ("", "ai.onnx")]
    for version in versions:
        if version > newest:
            raise UnsupportedError(
                f"it uses ONNX opset {version}; the installed onnx package knows none newer than {newest}",
                hint="install a newer onnx",
            )
        if version < OLDEST_OPSET:
            raise UnsupportedError(
                f"it uses ONNX opset {version}; the oldest supported is {OLDEST_OPSET}",
                hint="convert it with onnx.version_converter",
            )


def _check_scope(graph: onnx.GraphProto, outer: frozenset[str]) -> None:
    """Check the names of one graph; ``outer`` are the names its nodes may use from the graphs around it."""
    inputs = [value.name for value in graph.input]
    stored = [tensor.name for tensor in graph.initializer] + [tensor.values.name for tensor in graph.sparse_initializer]
    _check_unique(inputs, "graph input")
    _check_unique(stored, "initializer")
    definition = dict.fromkeys(inputs, "a graph input") | dict.fromkeys(stored, "an initializer")
    producer: dict[str, int] = {}
    for index, node in enumerate(graph.node):
        for name in filter(None, node.output):
            if name in definition:
                raise ModelError(f"its output '{name}' is already the name of {definition[name]}", node=label(node))
            definition[name] = f"an output of node '{label(node)}'"
            producer[name] = index
    names = outer.union(definition)
    for node in graph.node:
        for name in filter(None, node.input):
            if name not in names:
                raise ModelError(f"its input '{name}' is produced by nothing", node=label(node))
        for subgraph in _subgraphs(node):
            _check_scope(subgraph, names)
    for value in graph.output:
        if value.name not in names:
            raise ModelError(f"the graph output '{value.name}' is produced by nothing")
    edges = {i: {producer[name] for name in _uses(node) if name in producer} for i, node in enumerate(graph.node)}
    try:
        graphlib.TopologicalSorter(edges).prepare()
    except graphlib.CycleError as error:
        cycle = [label(graph.node[i]) for i in error.args[1]]
        raise ModelError(f"the graph has a cycle: {' -> '.join(cycle)}", node=cycle[0]) from None


def _check_unique(names: Iterable[str], what: str) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ModelError(f"there are two of this name; every {what} needs its own", node=name)
        seen.add(name)


def _subgraphs(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    for attribute in node.attribute:
        yield from [attribute.g] if attribute.HasField("g") else attribute.graphs


def _uses(node: onnx.NodeProto) -> Iterator[str]:
    """Names a node reads, those that its subgraphs take from outside included."""
    yield from node.input
    for subgraph in _subgraphs(node):
        yield from (value.name for value in subgraph.output)
        for inner in subgraph.node:
            yield from _uses(inner)


# Data types whose values TensorProto keeps in the wider int32_data.
_NARROW = (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT16, TensorProto.UINT16, TensorProto.BOOL)


def _check_range(tensor: onnx.TensorProto) -> None:
    if tensor.data_type not in _NARROW or not tensor.int32_data:
        return
    values = np.asarray(tensor.int32_data)
    if tensor.data_type == TensorProto.BOOL:
        low, high = 0, 1
    else:
        info = np.iinfo(ir.DataType(tensor.data_type).numpy())
        low, high = int(info.min), int(info.max)
    outside = values[(values < low) | (values > high)]
    if outside.size:
        dtype = TensorProto.DataType.Name(tensor.data_type).lower()
        raise ModelError(f"its value {outside[0]} is out of the range of {dtype}, [{low}, {high}]", node=tensor.name)
