"""Kernels of add, sub and mul of two quantized tensors, with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from tvm import te

from ..quant.params import QParams
from ..quant.reference import sum_factors
from ..quant.regions import Binary
from ..target import Target
from .arith import Expr, centered, fma, rounded, saturate
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
    offsets = _offsets(region, as_stored(region.a, held_a), as_stored(region.b, held_b))
    integers = np.array([*offsets, _moved(y, region.y), *clamp], np.int32)
    tensors = [te.placeholder(held.physical, held.dtype, name) for held, name in ((held_a, "a"), (held_b, "b"))]
    f = te.placeholder((3,), "float32", "scales")
    n = te.placeholder(integers.shape, "int32", "integers")

    def element(*place: Expr) -> Expr:
        index = out.logical(place)
        left = centered(_read(tensors[0], held_a, index), n[0])
        right = centered(_read(tensors[1], held_b, index), n[1])
        if region.op == "mul":
            value = rounded(left * right * f[0]) + f[2]
        else:
            value = fma(left, f[0], fma(right, f[1], f[2], target), target)
        return saturate(value, n[2], n[3], n[4], out.dtype)

    func = te.create_prim_func([*tensors, f, n, te.compute(out.physical, element, "y")])
    return Kernel(func, (*constants, _scales(region), integers), out)


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
