"""Kernels of add, sub and mul of two quantized tensors, with broadcasting."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np
from tvm import te

from ..quant.regions import Binary
from ..target import Target
from .arith import Expr
from .combine import Combine
from .dispatch import as_stored, lower, wants
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
    constants: tuple[np.ndarray, ...] = ()
    if region.constant is not None:
        held = Stored(region.constant.shape, str(region.b.dtype), last and region.constant.ndim == len(out_shape))
        inputs, constants = (*inputs, held), (region.constant.transpose(held.order),)
    held_a, held_b = inputs
    combine = Combine(region, as_stored(region.a, held_a), as_stored(region.b, held_b), target)
    out = Stored(out_shape, combine.dtype, last)
    integers = np.array([*combine.offsets, *combine.limits], np.int32)
    a, b = (te.placeholder(held.physical, held.dtype, name) for held, name in ((held_a, "a"), (held_b, "b")))
    f = te.placeholder(combine.scales.shape, combine.scales.dtype.name, "scales")
    n = te.placeholder(integers.shape, "int32", "integers")

    def element(*place: Expr) -> Expr:
        index = out.logical(place)
        left = combine.operand(_read(a, held_a, index), n[0])
        right = combine.operand(_read(b, held_b, index), n[1])
        return combine(left, right, f, (n[2], n[3], n[4]))

    func = te.create_prim_func([a, b, f, n, te.compute(out.physical, element, "y")])
    return Kernel(func, (*constants, combine.scales, integers), out)


def _read(tensor: te.Tensor, held: Stored, index: Sequence[Expr]) -> Expr:
    """The element of ``tensor`` that broadcasts to the output's ONNX ``index``."""
    own = index[len(index) - len(held.shape) :]
    return tensor[held.place([0 if size == 1 else i for i, size in zip(own, held.shape, strict=True)])]
