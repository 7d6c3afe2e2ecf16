"""Kernels between float32 and quantized tensors: ONNX QuantizeLinear and DequantizeLinear."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from tvm import te, tirx

from ..quant.params import QParams
from ..quant.regions import Dequantize, Quantize
from ..target import Target
from .arith import Expr, centered, fma, fuses, saturate
from .dispatch import activation, as_stored, lower
from .kernel import Kernel, Margins, Stored
from .reciprocal import reciprocal


def quantized(quotient: Expr, zero_point: Expr, dtype: str) -> Expr:
    """One element of ``reference.quantize``, from x / scale."""
    info = np.iinfo(dtype)
    return saturate(quotient, zero_point, int(info.min), int(info.max), dtype)


def dequantized(x: Expr, scale: Expr, zero_point: Expr) -> Expr:
    """One element of ``reference.dequantize``."""
    return centered(x, zero_point) * scale


@lower.register
def _(region: Quantize, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel:
    (held,) = inputs
    out = Stored(out_shape, activation(str(region.y.dtype), target), held.channels_last)
    params = as_stored(region.y, out)
    factors = reciprocal(params) if target.vector_bytes > 4 and fuses(target) else None

    def element(x: Expr, zero_point: Expr, *scale: Expr) -> Expr:
        if factors is None:
            return quantized(x / scale[0], zero_point, out.dtype)
        high, low = scale
        return quantized(fma(x, high, x * low, target), zero_point, out.dtype)

    return _elementwise(held, out, params, factors or (params.scale.reshape(-1),), element)


def quantized_image(region: Quantize, inputs: tuple[Stored, ...], margins: Margins, target: Target) -> Kernel | None:
    """The kernel that quantizes an image [N, C, H, W] with margins (see ``margins``); None where there is none."""
    (held,) = inputs
    out = Stored(held.shape, activation(region.y.dtype.name, target), channels_last=True, margins=margins)
    params = as_stored(region.y, out)
    factors = reciprocal(params)
    if factors is None or held.physical != held.shape:
        return None
    constants = (params.zero_point.reshape(-1).astype(np.int32), *factors)
    x = te.placeholder(held.shape, held.dtype, "x")
    zero_point, high, low = (te.placeholder((1,), constant.dtype.name, "scale") for constant in constants)
    _, channels, height, width = held.shape

    def element(n: Expr, row: Expr, e: Expr) -> Expr:
        row, e = row - margins.above, e - margins.left * channels
        value = x(n, e % channels, row, e // channels)
        inside = tirx.all(row >= 0, row < height, e >= 0, e < width * channels)
        value = quantized(fma(value, high[0], value * low[0], target), zero_point[0], out.dtype)
        return tirx.if_then_else(inside, value, zero_point[0].astype(out.dtype))

    func = te.create_prim_func([x, zero_point, high, low, te.compute(out.physical, element, "out")])
    func = func.with_attrs({"tvmopt.op": "image", "tvmopt.first": [margins.above, margins.left]})
    return Kernel(func, constants, out)


@lower.register
def _(region: Dequantize, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel:
    (held,) = inputs
    params = as_stored(region.x, held)

    def element(x: Expr, zero_point: Expr, scale: Expr) -> Expr:
        return dequantized(x, scale, zero_point)

    out = Stored(out_shape, "float32", held.channels_last)
    return _elementwise(held, out, params, (params.scale.reshape(-1),), element)


def _elementwise(
    held: Stored, out: Stored, params: QParams, scales: tuple[np.ndarray, ...], element: Callable[..., Expr]
) -> Kernel:
    """element : of x, the zero point and ``scales`` of its channel."""
    constants = (params.zero_point.reshape(-1).astype(np.int32), *scales)
    shape = [tirx.const(extent, "int64") for extent in held.physical]  # as Relax has it, which fuses this with its own
    x = te.placeholder(shape, held.dtype, "x")
    given = [te.placeholder(constant.shape, constant.dtype.name, "scale") for constant in constants]

    def at(*place: Expr) -> Expr:
        channel = 0 if params.axis is None else out.logical(place)[params.axis]
        return element(x[place], *(constant[channel] for constant in given))

    return Kernel(te.create_prim_func([x, *given, te.compute(shape, at, "y")]), constants, out)
