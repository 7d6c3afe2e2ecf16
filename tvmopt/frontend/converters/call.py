"""What a converter is given, and what converters share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import onnx_ir as ir
from tvm import relax
from tvm.ir import GenericConst
from tvm.relax.frontend.onnx import onnx_frontend

from ...quant.relax_form.scope import constant
from .topi import RelaxBuilder
from .tracked import Attributes, Inputs


@dataclass(frozen=True)
class Call:
    """One node to convert.

    Attributes
    ----------
    inputs     : Relax expressions, None where left out and beyond the last.
    attributes : by name, as onnx.helper.get_attribute_value gives them.
    opset      : version of ai.onnx.
    """

    bb: relax.BlockBuilder
    node: ir.Node
    inputs: Inputs
    attributes: Attributes
    opset: int

    def stock(self, inputs: Inputs | None = None, name: str | None = None) -> Any:
        """What TVM's own converter, of this operator or of another by ``name``, makes of ``inputs``."""
        convert = onnx_frontend._get_convert_map()[name or self.node.op_type].get_converter(self.opset)
        # The last argument is for weights that stay parameters; here they are constants.
        return convert(RelaxBuilder(self.bb), self.inputs if inputs is None else inputs, self.attributes, [{}, {}])


Converter = Callable[[Call], Any]
"""Gives the Relax expression of a node's output, or a tuple of them."""


def held(dtype: ir.DataType) -> tuple[str, int, int]:
    """The type that holds an integer type, one byte at least, and the range of the integer type itself."""
    signed, bits = dtype.name.startswith("INT"), dtype.bitwidth
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
    return f"{'' if signed else 'u'}int{max(bits, 8)}", low, high


def cast(call: Call, value: Any, dtype: str) -> Any:
    """``value`` as ``dtype``, normalized."""
    value = call.bb.normalize(value)
    if dtype_of(value) == dtype:
        return value
    if isinstance(value, GenericConst):
        return constant(value.value.numpy().astype(dtype))
    return call.bb.normalize(relax.op.astype(value, dtype))


def dtype_of(value: Any) -> str:
    """Name of a tensor's element type."""
    return str(value.ty.dtype.dtype)


def shape_of(value: Any) -> tuple[int, ...]:
    """A tensor's static shape."""
    return tuple(int(dim) for dim in value.ty.shape)
