"""Scales and zero points must make sense: checked once, on the normalized graph, where they are constants."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..errors import ModelError, UnsupportedError
from .fold import constant

_INTEGERS = {f"{sign}INT{bits}" for sign in ("", "U") for bits in (2, 4, 8, 16)}


def check(model: ir.Model) -> None:
    """Check every QuantizeLinear and DequantizeLinear against the ONNX specification (opset 25).

    ModelError: a scale that is NaN or infinite, or, of anything but a constant, zero or negative; a scale or zero point
    of the wrong dtype or shape; an int32 tensor with a zero point; an axis out of range, or of another length than its
    scale.
    UnsupportedError: a quantized type that is not an integer (float8, float4, ...).
    """
    for node in model.graph:
        if node.domain == "" and node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            _check_types(node)
            _check_values(node)
            _check_shapes(node)


def _inputs(node: ir.Node) -> tuple[ir.Value | None, ir.Value, ir.Value | None]:
    x, scale, zero = [*node.inputs, None][:3]
    assert scale is not None
    return x, scale, zero


def _check_types(node: ir.Node) -> None:
    x, scale, zero = _inputs(node)
    quantized = x.dtype if x is not None and node.op_type == "DequantizeLinear" else None
    if node.op_type == "QuantizeLinear" and node.attributes.get_int("output_dtype", 0):
        quantized = ir.DataType(node.attributes.get_int("output_dtype"))
    if zero is not None and zero.dtype is not None:
        if quantized is not None and zero.dtype != quantized:
            reason = f"its zero point is {zero.dtype.name.lower()}, but its values are {quantized.name.lower()}"
            raise ModelError(reason, node=node.name)
        quantized = zero.dtype
    integers = _INTEGERS | {"INT32"} if node.op_type == "DequantizeLinear" else _INTEGERS
    if quantized is not None and quantized.name not in integers:
        raise UnsupportedError(f"quantization to {quantized.name.lower()} is not supported", node=node.name)
    if scale.dtype is not None and not scale.dtype.is_floating_point():
        raise ModelError(f"its scale is {scale.dtype.name.lower()}, not a floating-point number", node=node.name)


def _check_values(node: ir.Node) -> None:
    x, scale, zero = _inputs(node)
    values = constant(scale)
    if values is not None:
        weight = (
            node.op_type == "DequantizeLinear" and constant(x) is not None
        )  # quantizers give blocks of these any sign
        bad = np.flatnonzero(~(np.isfinite(values) & (weight | (values > 0))))
        if bad.size:
            channel = f" of channel {bad[0]}" if values.size > 1 else ""
            wanted = "finite" if weight else "finite and positive"
            reason = f"its scale{channel} is {values.reshape(-1)[bad[0]]}, it has to be {wanted}"
            raise ModelError(reason, node=node.name)
    zeros = constant(zero)
    wide = node.op_type == "DequantizeLinear" and x is not None and x.dtype == ir.DataType.INT32
    if wide and zeros is not None and zeros.any():
        raise ModelError("an int32 tensor has no zero point other than 0", node=node.name)


def _check_shapes(node: ir.Node) -> None:
    x, scale, zero = _inputs(node)
    if scale.shape is None or not scale.shape.is_static():
        return
    shape = scale.shape.numpy()
    if zero is not None and zero.shape is not None and zero.shape.is_static():
        zero_shape = zero.shape.numpy()
        if zero_shape != shape and {zero_shape, shape} != {(), (1,)}:
            raise ModelError(f"its scale has shape {shape}, its zero point {zero_shape}", node=node.name)
    if x is None or x.shape is None:
        return
    ndim, axis = len(x.shape), node.attributes.get_int("axis", 1)
    block = node.attributes.get_int("block_size", 0)
    if shape in ((), (1,)) and not block:
        return
    if not -ndim <= axis < ndim:
        raise ModelError(f"its axis is {axis}, its tensor has {ndim} dimensions", node=node.name)
    length = x.shape[axis]
    if block:
        want = tuple(-(-d // block) if i == axis % ndim and isinstance(d, int) else d for i, d in enumerate(x.shape))
        if len(shape) != ndim or any(isinstance(w, int) and w != s for w, s in zip(want, shape, strict=True)):
            raise ModelError(f"its scale has shape {shape}, blocks of {block} need {want}", node=node.name)
    elif len(shape) != 1 or (isinstance(length, int) and length != shape[0]):
        raise ModelError(
            f"its scale has shape {shape}; one per channel of axis {axis} would be ({length},)", node=node.name
        )
