"""Which regions get a sparse kernel, and the kernel."""

from __future__ import annotations

from functools import singledispatch
from math import prod

import numpy as np

from ...quant.regions import Conv, MatMul, Region
from ...target import Target
from ..dispatch import as_stored
from ..epilogue import Epilogue
from ..kernel import Kernel, Stored
from ..matmul import epilogue_of
from ..packing import Packing, choose
from ..window import Window
from . import cost
from .groups import count_steps, group
from .product import fits, product


@singledispatch
def lower(region: Region, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel | None:
    """The kernel of a region whose weight has so many zeros that skipping them pays; None where it does not."""
    return None


@lower.register
def _(region: MatMul, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel | None:
    if region.weight is None or region.a is None:
        return None
    weight = (region.weight.astype(np.int16) - region.b.zero_point.astype(np.int16)).T
    (stored,) = inputs
    if not _pays(weight, prod(out_shape[:-1]), stored, target):
        return None
    epilogue = epilogue_of(region, stored, (), 0, weight.sum(1, dtype=np.int64), target)
    assert isinstance(epilogue, Epilogue)
    return _kernel(weight, Stored(out_shape, epilogue.dtype), epilogue)


@lower.register
def _(region: Conv, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel | None:
    (stored,) = inputs
    window = Window.of(region, stored.shape, out_shape)
    weight = window.weight[:, :, 0, 0]
    if not window.pointwise or not _pays(weight, out_shape[0] * prod(out_shape[2:]), stored, target):
        return None
    bias = region.bias - int(as_stored(region.x, stored).zero_point) * weight.sum(1, dtype=np.int64)
    epilogue = Epilogue((region.x, region.w), region.y, region.clamp, bias, target, region.requantize)
    return _kernel(weight, Stored(out_shape, epilogue.dtype, channels_last=True), epilogue)


def _pays(weight: np.ndarray, pixels: int, stored: Stored, target: Target) -> bool:
    outputs, length = weight.shape
    if np.count_nonzero(weight) > cost.DENSEST * weight.size or not fits(pixels, length, outputs):
        return False
    if stored.dtype != "uint8" or choose(target, stored.dtype, weight) != Packing(16, 4, "uint8", "int8"):
        return False
    sparse = cost.sparse(pixels, length, outputs, count_steps(weight))
    return sparse < cost.MARGIN * cost.dense(pixels, length, outputs)


def _kernel(weight: np.ndarray, out: Stored, epilogue: Epilogue) -> Kernel:
    groups = group(weight.astype(np.int8))
    outputs, length = weight.shape
    shape = (prod(out.shape) // outputs, length, outputs)
    func = product(shape, len(groups.inputs), epilogue)
    return Kernel(func, (groups.begins, groups.inputs, groups.values, *epilogue.constants), out)
