"""Kernels of add, sub and mul of two quantized tensors, with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm import te

from ..quant.params import QParams
from ..quant.reference import sum_factors
from ..quant.regions import Binary
from ..target import Target
from .arith import Expr, centered, fma, rounded, saturate, shift
from .dispatch import activation, as_stored, lower, wants
from .kernel import Kernel, Stored


@wants.register
def _(region: Binary, inputs: tuple[Stored, ...], target: Target) -> tuple[Stored, ...]:
    """All operands of full rank in one layout: channels last if one of the largest is."""
    rank = max(len(held.shape) for held in inputs)
    size = max(np.prod(held.shape) for held in inputs)
    last = any(held.channels_last for held in inputs if np.prod(held.shape) == size)
    return tuple(Stored(held.shape, held.dtype, last and len(held.shape) == rank) for held in inputs)


@lower.register
def _(region: Binary, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel:
    last = any(held.channels_last for held in inputs if held.shape == out_shape)
    out = Stored(out_shape, activation(str(region.y.dtype), target), last)
    if region.constant is None:
        held_a, held_b = inputs
        fixed = ()
    else:
        (held_a,) = inputs
        held_b = Stored(region.constant.shape, str(region.b.dtype))
        fixed = (region.constant,)
    a, b, y = as_stored(region.a, held_a), as_stored(region.b, held_b), as_stored(region.y, out)
    integers = np.array(
        [*_offsets(region, a, b), _moved(y, region.y), *shift(region.clamp, _moved(y, region.y))], np.int32
    )
    tensors = [te.placeholder(held.physical, held.dtype, name) for held, name in ((held_a, "a"), (held_b, "b"))]
    scales = te.placeholder((3,), "float32", "scales")
    zero_points = te.placeholder((5,), "int32", "zero_points")

    def element(*place: Expr) -> Expr:
        index = out.logical(place)
        left = centered(_read(tensors[0], held_a, index), zero_points[0])
        right = centered(_read(tensors[1], held_b, index), zero_points[1])
        if region.op == "mul":
            value = rounded(left * right * scales[0]) + scales[2]
        else:
            value = fma(left, scales[0], fma(right, scales[1], scales[2], target), target)
        return saturate(value, zero_points[2], zero_points[3], zero_points[4], out.dtype)

    result = te.compute(out.physical, element, "y")
    return Kernel(
        te.create_prim_func([*tensors, scales, zero_points, result]), (*fixed, _scales(region), integers), out
    )


def _moved(stored: QParams, model: QParams) -> int:
    """How much higher a tensor's elements are stored than the model has them: 0, or +-128."""
    return int(stored.zero_point) - int(model.zero_point)


def _offsets(region: Binary, a: QParams, b: QParams) -> tuple[int, int]:
    """What is taken off the stored operands: products are of centered values, sums of the model's own values."""
    if region.op == "mul":
        return int(a.zero_point), int(b.zero_point)
    return _moved(a, region.a), _moved(b, region.b)


def _scales(region: Binary) -> np.ndarray:
    """What the operands (mul: their product) are multiplied by, and what is added then; float32 [3]."""
    if region.op == "mul":
        ratio = np.float32(region.a.scale * region.b.scale) / region.y.scale
        return np.array([ratio, 0, int(region.y.zero_point)], np.float32)
    return np.array(sum_factors(region), np.float32)


def _read(tensor: te.Tensor, held: Stored, index: Sequence[Expr]) -> Expr:
    """The element of ``tensor`` that broadcasts to the output's ONNX ``index``."""
    own = index[len(index) - len(held.shape) :]
    return tensor[held.place([0 if size == 1 else i for i, size in zip(own, held.shape, strict=True)])]
