"""Kernels between float32 and quantized tensors: ONNX QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

import numpy as np
from tvm import te

from ..quant.params import QParams
from ..quant.regions import Dequantize, Quantize
from ..target import Target
from .arith import Expr, centered, saturate
from .dispatch import activation, as_stored, lower
from .kernel import Kernel, Stored


def quantized(x: Expr, scale: Expr, zero_point: Expr, dtype: str) -> Expr:
    """One element of ``reference.quantize``."""
    info = np.iinfo(dtype)
    return saturate(x.astype("float32") / scale, zero_point, int(info.min), int(info.max), dtype)


def dequantized(x: Expr, scale: Expr, zero_point: Expr) -> Expr:
    """One element of ``reference.dequantize``."""
    return centered(x, zero_point) * scale


@lower.register
def _(region: Quantize, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel:
    (held,) = inputs
    out = Stored(out_shape, activation(str(region.y.dtype), target), held.channels_last)
    return _elementwise(held, out, as_stored(region.y, out), quantize=True)


@lower.register
def _(region: Dequantize, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel:
    (held,) = inputs
    return _elementwise(
        held, Stored(out_shape, "float32", held.channels_last), as_stored(region.x, held), quantize=False
    )


def _elementwise(held: Stored, out: Stored, params: QParams, quantize: bool) -> Kernel:
    constants = (params.scale.reshape(-1), params.zero_point.reshape(-1).astype(np.int32))
    x = te.placeholder(held.physical, held.dtype, "x")
    scale = te.placeholder(constants[0].shape, "float32", "scale")
    zero_point = te.placeholder(constants[1].shape, "int32", "zero_point")

    def element(*place: Expr) -> Expr:
        channel = 0 if params.axis is None else out.logical(place)[params.axis]
        operands = x[place], scale[channel], zero_point[channel]
        return quantized(*operands, out.dtype) if quantize else dequantized(*operands)

    y = te.compute(out.physical, element, "y")
    return Kernel(te.create_prim_func([x, scale, zero_point, y]), constants, out)
