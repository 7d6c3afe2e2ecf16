"""Quantized and integer arithmetic."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx_ir as ir
from tvm import relax
from tvm.ir import GenericConst

from ...quant.relax_form.scope import constant
from .call import Call, Converter, cast, dtype_of, held, shape_of
from .tracked import Inputs

op = relax.op


def _quantize_linear(call: Call) -> Any:
    """``saturate(round_half_even(x / scale) + zero_point)``, divided in the precision of the scale's type."""
    x, scale, zero = (call.inputs[i] for i in range(3))
    node, axis, block = call.node, call.attributes.get("axis", 1), call.attributes.get("block_size", 0)
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        dtype = node.inputs[2].dtype
    else:
        dtype = ir.DataType(call.attributes.get("output_dtype", 0) or ir.DataType.UINT8)
    to, low, high = held(dtype)
    precision = ir.DataType(call.attributes.get("precision", 0) or node.inputs[1].dtype)
    if precision == ir.DataType.FLOAT and not block:
        scale, zero, axis = _parameters(call, x, scale, zero, to, axis)
        y = op.quantize(cast(call, x, "float32"), cast(call, scale, "float32"), zero, axis=axis, out_dtype=to)
        narrow = (low, high) != (np.iinfo(to).min, np.iinfo(to).max)
        return op.clip(y, low, high) if narrow else y
    wide = precision.numpy().name
    value = op.divide(cast(call, x, wide), _spread(call, cast(call, scale, wide), x, axis, block))
    value = op.round(cast(call, value, "float32"))
    if zero is not None:
        value = op.add(value, _spread(call, cast(call, zero, "float32"), x, axis, block))
    return op.astype(op.clip(value, low, high), to)


def _dequantize_linear(call: Call) -> Any:
    """``(x - zero_point) * scale``. Blocks of a constant become its rows, dequantized and moved into place."""
    x, scale, zero = (call.inputs[i] for i in range(3))
    axis, block = call.attributes.get("axis", 1), call.attributes.get("block_size", 0)
    result = ir.DataType(call.attributes.get("output_dtype", 0) or call.node.inputs[1].dtype).numpy().name
    if not block:
        scale, zero, axis = _parameters(call, x, scale, zero, dtype_of(x), axis)
        y = op.dequantize(x, cast(call, scale, "float32"), zero, axis=axis, out_dtype="float32")
        return cast(call, y, result)
    constants = all(isinstance(value, GenericConst) for value in (x, scale, zero) if value is not None)
    if constants and shape_of(x)[axis] % block == 0:
        return cast(call, _dequantize_blocks(call, x, scale, zero, axis % x.ty.ndim, block), result)
    value = cast(call, x, "int32")
    if zero is not None:
        value = op.subtract(value, _spread(call, cast(call, zero, "int32"), x, axis, block))
    scale = _spread(call, cast(call, scale, "float32"), x, axis, block)
    return cast(call, op.multiply(op.astype(value, "float32"), scale), result)


def _dequantize_blocks(call: Call, x: Any, scale: Any, zero: Any, axis: int, block: int) -> Any:
    """Of constants, whole blocks only."""
    weight = np.moveaxis(x.value.numpy(), axis, -1)
    scales = np.moveaxis(scale.value.numpy().astype(np.float32), axis, -1).reshape(-1)
    zeros = np.zeros(1, weight.dtype) if zero is None else np.moveaxis(zero.value.numpy(), axis, -1).reshape(-1)
    zeros = np.broadcast_to(zeros, scales.shape)
    rows = op.dequantize(constant(weight.reshape(-1, block)), constant(scales), constant(zeros), 0, "float32")
    value = call.bb.emit(op.reshape(call.bb.emit(rows), weight.shape))
    order = list(range(weight.ndim - 1))
    order.insert(axis, weight.ndim - 1)
    return value if axis == weight.ndim - 1 else call.bb.emit(op.permute_dims(value, order))


def _dynamic_quantize_linear(call: Call) -> Any:
    """Scale and zero point from the data, uint8, as ONNX Runtime: a tensor of zeros has scale 1."""
    x, zero, top = call.inputs[0], relax.const(0.0, "float32"), relax.const(255.0, "float32")
    high = op.maximum(op.max(x), zero)
    low = op.minimum(op.min(x), zero)
    scale = op.divide(op.subtract(high, low), top)
    scale = call.bb.emit(op.where(op.equal(high, low), relax.const(1.0, "float32"), scale))
    zero_point = op.round(op.clip(op.subtract(zero, op.divide(low, scale)), 0, 255))
    zero_point = call.bb.emit(op.astype(zero_point, "uint8"))
    return relax.Tuple([op.quantize(x, scale, zero_point, axis=-1, out_dtype="uint8"), scale, zero_point])


def _matmul_integer(call: Call) -> Any:
    """int32 product of (a - a_zp) and (b - b_zp); zero points per tensor, per row of a, per column of b."""
    a, b, a_zero, b_zero = (call.inputs[i] for i in range(4))
    return op.matmul(_centered(call, a, a_zero, -2), _centered(call, b, b_zero, -1), out_dtype="int32")


def _conv_integer(call: Call) -> Any:
    """int32 convolution of (x - x_zp) with (w - w_zp), so that the border is x_zp; w_zp may be per output channel."""
    x, w, x_zero, w_zero = (call.inputs[i] for i in range(4))
    return call.stock(Inputs([_centered(call, x, x_zero, 0), _centered(call, w, w_zero, 0), None]), "Conv")


def _centered(call: Call, x: Any, zero: Any, axis: int) -> Any:
    """``x - zero`` in int32; a zero point of one dimension goes along ``axis`` of x."""
    value = cast(call, x, "int32")
    if zero is None:
        return call.bb.normalize(value)
    ndim = x.ty.ndim
    if zero.ty.ndim == 1 and ndim > 1:
        shape = [1] * ndim
        shape[axis] = -1
        zero = op.reshape(zero, shape)
    return call.bb.normalize(op.subtract(value, cast(call, zero, "int32")))


def _parameters(call: Call, x: Any, scale: Any, zero: Any, dtype: str, axis: int) -> tuple[Any, Any, int]:
    """Scale, zero point and axis in one form: scalars (axis -1), or vectors along a non-negative axis."""
    scale = _scalar(call, scale)
    zero = relax.const(np.zeros(shape_of(scale), dtype)) if zero is None else _scalar(call, zero)
    return scale, zero, axis % x.ty.ndim if scale.ty.ndim else -1


def _scalar(call: Call, value: Any) -> Any:
    """A tensor of one element as one of no dimensions."""
    if shape_of(value) != (1,):
        return value
    if isinstance(value, GenericConst):
        return constant(value.value.numpy().reshape(()))
    return call.bb.normalize(op.reshape(value, ()))


def _spread(call: Call, value: Any, x: Any, axis: int, block: int) -> Any:
    """A parameter per tensor, channel or block, so that it broadcasts against x."""
    value, ndim = call.bb.normalize(value), x.ty.ndim
    if block:
        size = int(x.ty.shape[axis])
        return op.strided_slice(op.repeat(value, block, axis), [axis], [0], [size])
    if value.ty.ndim == 0 or shape_of(value) == (1,):
        return value
    shape = [1] * ndim
    shape[axis] = -1
    return op.reshape(value, shape)


CONVERTERS: dict[str, Converter] = {
    "ConvInteger": _conv_integer,
    "DequantizeLinear": _dequantize_linear,
    "DynamicQuantizeLinear": _dynamic_quantize_linear,
    "MatMulInteger": _matmul_integer,
    "QuantizeLinear": _quantize_linear,
}
