"""Operators that ONNX itself defines by simpler ones, where no converter knows them -> those simpler ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import onnx
import onnx_ir as ir
from onnx_ir.passes import common

from ..converters import has_converter, why_refused

_DOMAIN = "tvmopt.functions"

# Operators that TVM converts, but whose definition is the better one: TVM normalizes along some axes only.
_BETTER = {"RMSNormalization"}


def expand_functions(model: ir.Model) -> bool:
    """Inline the function body of every node that needs it; return whether there was one.

    A body is used only when its operators mean the same in the model's opset.
    """
    opset = model.opset_imports[""]
    found = False
    for node in list(model.graph):
        if node.domain or not _needs_body(node):
            continue
        body = _body(node, opset)
        if body is None:
            continue
        _complete(node, body, opset)
        body.domain, body.name = _DOMAIN, f"{node.op_type}_{len(model.functions)}"
        function = ir.from_proto(body)
        model.functions[function.identifier()] = function
        node.domain, node.op_type = body.domain, body.name
        found = True
    if found:
        model.opset_imports[_DOMAIN] = 1
        common.InlinePass()(model)
        del model.opset_imports[_DOMAIN]
    return found


def _needs_body(node: ir.Node) -> bool:
    if why_refused(node) is not None:
        return False
    if node.op_type == "LayerNormalization":  # TVM has its first output only
        return len(node.outputs) > 1
    return node.op_type in _BETTER or not has_converter(node)


def _complete(node: ir.Node, body: onnx.FunctionProto, opset: int) -> None:
    """Name the body's nodes, drop the outputs that ``node`` does not have, give ``node`` its default attributes."""
    for inner in body.node:
        inner.name = f"{node.name}/{inner.op_type}"
    for index, value in enumerate(node.outputs):
        value.name = value.name or f"{node.name}/unused{index}"
    del body.output[len(node.outputs) :]
    produced = {name for inner in body.node for name in inner.output}
    for name in body.output:
        if name not in produced:  # an output in the middle that nobody reads
            body.node.append(onnx.helper.make_node("Constant", [], [name], value_int=0))
    for name, attribute in onnx.defs.get_schema(node.op_type, opset).attributes.items():
        if name not in node.attributes and attribute.default_value.type != onnx.AttributeProto.UNDEFINED:
            node.attributes.add(ir.from_proto(attribute.default_value))


def _body(node: ir.Node, opset: int) -> onnx.FunctionProto | None:
    schema: Any = onnx.defs.get_schema(node.op_type, opset)
    if schema.has_context_dependent_function:
        versions = [v for v in schema.context_dependent_function_opset_versions if v <= opset]
        types = [b"" if value is None else _type(value) for value in node.inputs]
        if not versions or None in types:
            return None
        text = schema.get_context_dependent_function_with_opset_version(
            max(versions), ir.to_proto(node).SerializeToString(), types
        )
    elif schema.has_function:
        versions = [v for v in schema.function_opset_versions if v <= opset]
        if not versions:
            return None
        text = schema.get_function_with_opset_version(max(versions))
    else:
        return None
    body = onnx.FunctionProto.FromString(text)
    written = next((entry.version for entry in body.opset_import if entry.domain == ""), opset)
    if not all(_same_meaning(inner, written, opset) for inner in _nodes(body.node)):
        return None
    del body.opset_import[:]
    body.opset_import.append(onnx.helper.make_opsetid("", opset))
    return body


def _type(value: ir.Value) -> bytes | None:
    if value.type is None:
        return None
    return ir.to_proto(value).type.SerializeToString()


def _nodes(nodes: Iterable[onnx.NodeProto]) -> Iterator[onnx.NodeProto]:
    for node in nodes:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _nodes(attribute.g.node)


def _same_meaning(node: onnx.NodeProto, written: int, opset: int) -> bool:
    """Whether an operator has the same inputs and attributes in both opsets: then only its types may differ."""
    return _signature(node.op_type, written) == _signature(node.op_type, opset)


def _signature(op_type: str, opset: int) -> tuple[list[str], dict[str, bytes]]:
    schema = onnx.defs.get_schema(op_type, opset)
    defaults = {name: attribute.default_value.SerializeToString() for name, attribute in schema.attributes.items()}
    return [formal.name for formal in schema.inputs], defaults
