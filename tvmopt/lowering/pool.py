"""Kernels of max and average pooling in any number of spatial dimensions, channels last."""

from __future__ import annotations

import numpy as np
from tvm import te, tirx

from ..quant.fixed import average_scale
from ..quant.reference import counts
from ..quant.regions import Pool
from ..target import Target
from .arith import Expr, rescale, saturate, saturate_integer
from .dispatch import activation, as_stored, lower, wants
from .kernel import Kernel, Stored


@wants.register
def _(region: Pool, inputs: tuple[Stored, ...], target: Target) -> tuple[Stored, ...]:
    (held,) = inputs
    return (Stored(held.shape, held.dtype, channels_last=True),)


@lower.register
def _(region: Pool, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel:
    (held,) = inputs
    rank = len(region.kernel)
    out_dtype = held.dtype if region.op == "max" else activation(str(region.y.dtype), target)
    out = Stored(out_shape, out_dtype, channels_last=True)
    x = te.placeholder(held.physical, held.dtype, "x")
    taps = [te.reduce_axis((0, size), f"k{axis}") for axis, size in enumerate(region.kernel)]

    beyond = _beyond(region, held.shape, out_shape)

    def element(place: tuple[Expr, ...], outside: Expr) -> Expr:
        """What the window of output ``place`` has under the current tap; ``outside`` beyond the input."""
        steps = zip(place[1:-1], region.strides, taps, region.dilations, region.padding[:rank], strict=True)
        at = [p * stride + tap.var * dilation - begin for p, stride, tap, dilation, begin in steps]
        inside = [i >= 0 for i, (before, _) in zip(at, beyond, strict=True) if before]
        inside += [i < size for i, size, (_, after) in zip(at, held.shape[2:], beyond, strict=True) if after]
        value = x[(place[0], *at, place[-1])]
        return tirx.if_then_else(tirx.all(*inside), value, outside) if inside else value

    if region.op == "max":
        lowest = tirx.const(np.iinfo(held.dtype).min, held.dtype)
        y = te.compute(out.physical, lambda *place: te.max(element(place, lowest), axis=taps), "y")
        return Kernel(te.create_prim_func([x, y]), (), out)

    x_params, y_params = as_stored(region.x, held), as_stored(region.y, out)
    averaged = counts(region, held.shape, out_shape)
    factors = _factors(region, averaged)
    zero_points = np.array([x_params.zero_point, y_params.zero_point], np.int32)
    fs = [te.placeholder(factor.shape, factor.dtype.name, "factors") for factor in factors]
    zp = te.placeholder((2,), "int32", "zero_points")

    def term(*place: Expr) -> Expr:
        return te.sum(element(place, zp[0].astype(held.dtype)).astype("int32") - zp[0], axis=taps)

    total = te.compute(out.physical, term, "sum")

    def average(*place: Expr) -> Expr:
        at = tuple(p if size > 1 else 0 for p, size in zip(place[1:-1], averaged.shape, strict=True))
        if region.requantize == "fixed":
            value = rescale(total[place], *(f[at] for f in fs))
            return saturate_integer(value, zp[1], *y_params.range, out.dtype)
        return saturate(total[place].astype("float32") * fs[0][at], zp[1], *y_params.range, out.dtype)

    y = te.compute(out.physical, average, "y")
    return Kernel(te.create_prim_func([x, *fs, zp, y]), (*factors, zero_points), out)


def _beyond(region: Pool, shape: tuple[int, ...], out_shape: tuple[int, ...]) -> list[tuple[bool, bool]]:
    """Per spatial axis: whether any window reaches before the input's begin, and after its end."""
    rank = len(region.kernel)
    return [
        (begin > 0, (count - 1) * stride + (kernel - 1) * dilation - begin >= size)
        for begin, count, stride, kernel, dilation, size in zip(
            region.padding[:rank],
            out_shape[2:],
            region.strides,
            region.kernel,
            region.dilations,
            shape[2:],
            strict=True,
        )
    ]


def _factors(region: Pool, counts: np.ndarray) -> tuple[np.ndarray, ...]:
    """What sums of so many values are multiplied by: ``x_scale / (y_scale * count)``; or multiplier and shift."""
    if region.requantize == "fixed":
        scale = average_scale(region, counts)
        return scale.multiplier, scale.shift
    return ((region.x.scale / (region.y.scale * counts.astype(np.float32))).astype(np.float32),)
