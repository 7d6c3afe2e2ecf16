"""Kernels of add, sub and mul of two quantized tensors, with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from tvm import te

from ..quant.fixed import binary_scales
from ..quant.params import QParams
from ..quant.reference import sum_factors
from ..quant.regions import Binary
from ..target import Target
from .arith import Expr, centered, fma, rescale, rounded, saturate, saturate_integer
from .dispatch import as_stored, lower, wants
from .epilogue import stored_output
from .kernel import Kernel, Stored


@wants.register
def _(region: Binary, inputs: tuple[Stored, ...], target: Target) -> tuple[Stored, ...]:
    """All operands of full rank in one layout: channels last if one of the largest is."""
    rank = max(len(held.shape) for held in inputs)
    size = max(prod(held.shape) for held in inputs)
    last = any(held.channels_last for held in inputs if prod(held.shape) == size)
    return tuple(Stored(held.shape, held.dtype, last and len(held.shape) == rank) for held in inputs)


@lower.register
def _(region: Binary, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel:
    last = any(held.channels_last for held in inputs if held.shape == out_shape)
    y, clamp = stored_output(region.y, region.clamp, target)
    out = Stored(out_shape, str(y.dtype), last)
    constants: tuple[np.ndarray, ...] = ()
    if region.constant is not None:
        held = Stored(region.constant.shape, str(region.b.dtype), last and region.constant.ndim == len(out_shape))
        inputs, constants = (*inputs, held), (region.constant.transpose(held.order),)
    held_a, held_b = inputs
    fixed = region.requantize == "fixed"
    offsets = _offsets(region, as_stored(region.a, held_a), as_stored(region.b, held_b))
    added = int(y.zero_point) if fixed else _moved(y, region.y)
    integers = np.array([*offsets, added, *clamp], np.int32)
    tensors = [te.placeholder(held.physical, held.dtype, name) for held, name in ((held_a, "a"), (held_b, "b"))]
    scales = _fixed_scales(region) if fixed else _scales(region)
    f = te.placeholder(scales.shape, scales.dtype.name, "scales")
    n = te.placeholder(integers.shape, "int32", "integers")

    def element(*place: Expr) -> Expr:
        index = out.logical(place)
        operands = _read(tensors[0], held_a, index), _read(tensors[1], held_b, index)
        if fixed:
            left, right = (x.astype("int32") - zp for x, zp in zip(operands, (n[0], n[1]), strict=True))
            value = rescale(_combined(region.op, left, right, f), f[4], f[5])
            return saturate_integer(value, n[2], n[3], n[4], out.dtype)
        left, right = centered(operands[0], n[0]), centered(operands[1], n[1])
        if region.op == "mul":
            value = rounded(left * right * f[0]) + f[2]
        else:
            value = fma(left, f[0], fma(right, f[1], f[2], target), target)
        return saturate(value, n[2], n[3], n[4], out.dtype)

    func = te.create_prim_func([*tensors, f, n, te.compute(out.physical, element, "y")])
    return Kernel(func, (*constants, scales, integers), out)


def _moved(stored: QParams, model: QParams) -> int:
    """How much higher a tensor's elements are stored than the model has them: 0, or +-128."""
    return int(stored.zero_point) - int(model.zero_point)


def _offsets(region: Binary, a: QParams, b: QParams) -> tuple[int, int]:
    """What is taken off the stored operands: sums in float are of the model's own values, the rest of centered ones."""
    if region.op == "mul" or region.requantize == "fixed":
        return int(a.zero_point), int(b.zero_point)
    return _moved(a, region.a), _moved(b, region.b)


def _scales(region: Binary) -> np.ndarray:
    """What the operands (mul: their product) are multiplied by, and what is added then; float32 [3]."""
    if region.op == "mul":
        ratio = np.float32(region.a.scale * region.b.scale) / region.y.scale
        return np.array([ratio, 0, int(region.y.zero_point)], np.float32)
    return np.array(sum_factors(region), np.float32)


def _fixed_scales(region: Binary) -> np.ndarray:
    """Multiplier and shift of both operands and of the result; int32 [6]."""
    return np.array([part for scale in binary_scales(region) for part in (scale.multiplier, scale.shift)], np.int32)


def _combined(op: str, left: Expr, right: Expr, scales: te.Tensor) -> Expr:
    """The int32 result of centered operands, before it is scaled: ``fixed.binary``."""
    if op == "mul":
        return left * right
    left = rescale(left, scales[0], scales[1]).astype("int32")
    right = rescale(right, scales[2], scales[3]).astype("int32")
    return left - right if op == "sub" else left + right


def _read(tensor: te.Tensor, held: Stored, index: Sequence[Expr]) -> Expr:
    """The element of ``tensor`` that broadcasts to the output's ONNX ``index``."""
    own = index[len(index) - len(held.shape) :]
    return tensor[held.place([0 if size == 1 else i for i, size in zip(own, held.shape, strict=True)])]
