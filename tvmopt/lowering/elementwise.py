"""Kernels of add, sub and mul of two quantized tensors, with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from tvm import te

from ..quant.regions import Binary
from ..target import Target
from .arith import Expr, centered, rounded, saturate, shift
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
    clamp = shift(region.clamp, int(y.zero_point) - int(region.y.zero_point))
    constants = (
        *fixed,
        _scales(region),
        np.array([a.zero_point, b.zero_point, y.zero_point, *clamp], np.int32),
    )
    tensors = [te.placeholder(held.physical, held.dtype, name) for held, name in ((held_a, "a"), (held_b, "b"))]
    scales = te.placeholder((2,), "float32", "scales")
    integers = te.placeholder((5,), "int32", "integers")

    def element(*place: Expr) -> Expr:
        index = out.logical(place)
        left = centered(_read(tensors[0], held_a, index), integers[0])
        right = centered(_read(tensors[1], held_b, index), integers[1])
        if region.op == "mul":
            value = left * right * scales[0]
        else:
            left, right = rounded(left * scales[0]), rounded(right * scales[1])
            value = left + right if region.op == "add" else left - right
        return saturate(value, integers[2], integers[3], integers[4], out.dtype)

    result = te.compute(out.physical, element, "y")
    return Kernel(te.create_prim_func([*tensors, scales, integers, result]), constants, out)


def _scales(region: Binary) -> np.ndarray:
    """What the centered operands (mul: their product, first entry) are multiplied by; float32 [2]."""
    f32 = np.float32
    if region.op == "mul":
        return np.array([f32(f32(region.a.scale * region.b.scale) / region.y.scale), 0], np.float32)
    return np.array([region.a.scale / region.y.scale, region.b.scale / region.y.scale], np.float32)


def _read(tensor: te.Tensor, held: Stored, index: Sequence[Expr]) -> Expr:
    """The element of ``tensor`` that broadcasts to the output's ONNX ``index``."""
    own = index[len(index) - len(held.shape) :]
    return tensor[held.place([0 if size == 1 else i for i, size in zip(own, held.shape, strict=True)])]
