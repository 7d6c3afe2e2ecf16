"""Symbolic dimensions bound, and the shape and type of every value inferred."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence

import onnx
import onnx_ir as ir

from ..errors import InputError, ModelError

# Constants up to this size are shown to shape inference, which reads shapes, axes and pads from them.
_SMALL_BYTES = 1024


def bind(model: ir.Model, shapes: Mapping[str, Sequence[int]]) -> None:
    """Give graph inputs the shapes named in ``shapes``.

    A symbolic dimension that is bound in one input is bound in all. InputError: no such input, another
    number of dimensions, a dimension that is not positive, or one that the model or another input fixes
    to something else.
    """
    inputs = {value.name: value for value in model.graph.inputs}
    for value in inputs.values():
        if value.shape is not None:
            value.shape = ir.Shape([None if _is_unknown(dim) else dim for dim in value.shape])
    bound: dict[str, int] = {}
    for name, given in shapes.items():
        if name not in inputs:
            raise InputError(f"there is no input '{name}'; the inputs are {', '.join(map(str, inputs))}")
        try:
            shape = tuple(operator.index(size) for size in given)
        except TypeError:
            raise InputError(f"input '{name}' cannot have the shape {given!r}") from None
        value = inputs[name]
        declared = value.shape if value.shape is not None else ir.Shape([None] * len(shape))
        if len(declared) != len(shape):
            raise InputError(f"input '{name}' has {len(declared)} dimensions, {shape} has {len(shape)}")
        for dim, size in zip(declared, shape, strict=True):
            symbol = None if isinstance(dim, int) else dim.value
            fixed = dim if isinstance(dim, int) else bound.get(symbol or "")
            if size <= 0 or fixed not in (None, size):
                why = f"; '{symbol}' is {fixed} already" if symbol and fixed is not None else ""
                raise InputError(f"input '{name}' has shape {describe(declared)}, it cannot be {shape}{why}")
            if symbol:
                bound[symbol] = size
        value.shape = ir.Shape(shape)
    for value in inputs.values():
        if value.shape is not None:
            value.shape = ir.Shape([bound.get(_symbol(dim), dim) for dim in value.shape])
    for node in model.graph:
        if bound or not node.domain:  # what the file says of them is outdated, or is inferred again
            for value in node.outputs:
                value.shape = None


def _is_unknown(dim: int | ir.SymbolicDim) -> bool:
    """Old exporters write -1, some "?", which then is no symbol: two of them need not be the same."""
    return dim < 0 if isinstance(dim, int) else dim.value in (None, "?")


def _symbol(dim: int | ir.SymbolicDim) -> str:
    return "" if isinstance(dim, int) else dim.value or ""


def describe(shape: ir.Shape) -> str:
    """A shape as people write it: (batch, 3, ?, 224)."""
    return "(" + ", ".join(str(dim) if isinstance(dim, int) else dim.value or "?" for dim in shape) + ")"


def infer(model: ir.Model, *, strict: bool) -> None:
    """Set shape and type of every value that ONNX can infer; values of unknown operators stay as they are.

    With ``strict``, raise ModelError, naming the node, where types or shapes contradict each other.
    """
    proto = _without_weights(model)
    try:
        inferred = onnx.shape_inference.infer_shapes(proto, check_type=strict, strict_mode=strict, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        wrong = _model_error(str(error))
        if "Inference error(s)" not in wrong.reason:
            raise wrong from None
        # It is inside of ONNX's own definition of an operator, so not the user's.
        inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    known = {value.name: value for value in (*inferred.graph.value_info, *inferred.graph.output)}
    for node in model.graph:
        for output in node.outputs:
            if output.name in known:
                value = ir.from_proto(known[output.name])
                output.type = value.type or output.type
                output.shape = value.shape if value.shape is not None else output.shape


def _without_weights(model: ir.Model) -> onnx.ModelProto:
    """The model with its large initializers turned into inputs, so that it fits into a protobuf message."""
    graph = onnx.GraphProto(name="main")
    graph.node.extend(ir.to_proto(node) for node in model.graph)
    graph.input.extend(_info(value) for value in model.graph.inputs)
    graph.output.extend(_info(value) for value in model.graph.outputs)
    for value in model.graph.initializers.values():
        assert value.const_value is not None
        if value.const_value.nbytes <= _SMALL_BYTES:
            tensor = ir.to_proto(value.const_value)
            tensor.name = str(value.name)
            graph.initializer.append(tensor)
        else:
            value.type, value.shape = ir.TensorType(value.const_value.dtype), ir.Shape(value.const_value.shape)
            graph.input.append(_info(value))
    outputs = {value.name for value in model.graph.outputs}
    for node in model.graph:
        for value in node.outputs:
            if value.name not in outputs and value.type is not None:
                graph.value_info.append(_info(value))
    opsets = [onnx.helper.make_opsetid(domain, version) for domain, version in model.opset_imports.items()]
    return onnx.ModelProto(ir_version=onnx.IR_VERSION, opset_import=opsets, graph=graph)


def _info(value: ir.Value) -> onnx.ValueInfoProto:
    return onnx.ValueInfoProto(name=value.name) if value.type is None else ir.to_proto(value)


def _model_error(message: str) -> ModelError:
    """onnx's message is ``... (op_type:Conv, node name: c1): [ShapeInferenceError] reason``."""
    found = re.search(
        r"\(op_type:(?P<op>\w+)(?:, node name: (?P<node>.*?))?\): (?:\[\w+\] )?(?P<reason>[^\n]*)", message
    )
    if found is None:
        return ModelError(message.splitlines()[0])
    return ModelError(f"{found['op']}: {found['reason'].rstrip('.')}", node=found["node"])
