"""ONNX operators -> Relax: ours where TVM has no converter or a wrong one, else TVM's, closely watched."""

from __future__ import annotations

from typing import Any

import onnx
import onnx_ir as ir
from tvm.relax.frontend.onnx import onnx_frontend

from ...errors import UnsupportedError
from . import plain, quantized, resize
from .call import Call, Converter, held
from .refused import why_refused

__all__ = ["Call", "convert", "has_converter", "held", "why_refused"]

_OURS: dict[str, Converter] = {**plain.CONVERTERS, **quantized.CONVERTERS, **resize.CONVERTERS}

# Contrib operators that have the name of an operator of ai.onnx, and TVM's converter of that name.
_OTHERS = {"Attention"}

# Attributes that say again what the number of outputs says.
_SAID_BY_OUTPUTS = {"num_outputs"}


def has_converter(node: ir.Node) -> bool:
    """Whether there is a converter for the operator of ``node``."""
    known = node.op_type in _OURS or (node.op_type in onnx_frontend._get_convert_map() and node.op_type not in _OTHERS)
    return not node.domain and known


def convert(call: Call) -> Any:
    """Convert one node.

    Raises UnsupportedError for an operator without a converter, for a case of it that TVM is known to get
    wrong, and for an input or attribute that its converter did not look at.
    """
    node = call.node
    reason = why_refused(node)
    if reason is not None:
        raise UnsupportedError(reason)
    if not has_converter(node):
        raise UnsupportedError(f"operator {node.op_type} is not supported")
    ours = _OURS.get(node.op_type)
    result = call.stock() if ours is None else ours(call)
    _check_all_read(call)
    return result


def _check_all_read(call: Call) -> None:
    schema = onnx.defs.get_schema(call.node.op_type, call.opset)
    for name, attribute in call.node.attributes.items():
        if name not in call.attributes.read | _SAID_BY_OUTPUTS and not _is_default(attribute, schema):
            raise UnsupportedError(f"attribute '{name}' of {call.node.op_type} is not supported")
    for index, value in enumerate(call.node.inputs):
        if value is not None and index not in call.inputs.read:
            raise UnsupportedError(f"input {index} ({value.name}) of {call.node.op_type} is not supported")


def _is_default(attribute: ir.Attr, schema: onnx.defs.OpSchema) -> bool:
    """Whether an attribute has the value it has when left out."""
    default = schema.attributes[attribute.name].default_value
    if default.type == onnx.AttributeProto.UNDEFINED:
        return False
    return onnx.helper.get_attribute_value(ir.to_proto(attribute)) == onnx.helper.get_attribute_value(default)
