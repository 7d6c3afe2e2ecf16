"""Which regions get a sparse kernel, and the kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
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
from .matvec import matvec
from .product import LANES, product
from .slices import slice_up


@dataclass(frozen=True)
class Choice:
    """What became of a region whose weight has zeros.

    Attributes
    ----------
    kernel : a sparse one, None where the dense one is faster or the only one.
    why    : one line.
    """

    kernel: Kernel | None
    why: str


Form = Callable[[np.ndarray, Stored, Epilogue], Kernel]


@singledispatch
def lower(region: Region, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Choice | None:
    """Choose a kernel for a region by the cycles it takes; None where its weight has too few zeros to matter."""
    return None


@lower.register
def _(region: MatMul, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Choice | None:
    if region.weight is None or region.a is None:
        return None
    weight = (region.weight.astype(np.int16) - region.b.zero_point.astype(np.int16)).T
    if not _has_zeros(weight):
        return None
    (stored,) = inputs
    epilogue = epilogue_of(region, stored, (), 0, weight.sum(1, dtype=np.int64), target)
    assert isinstance(epilogue, Epilogue)
    return _fastest(weight, stored, Stored(out_shape, epilogue.dtype), epilogue, target)


@lower.register
def _(region: Conv, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Choice | None:
    (stored,) = inputs
    window = Window.of(region, stored.shape, out_shape)
    weight = window.weight[:, :, 0, 0]
    if not window.pointwise or not _has_zeros(weight):
        return None
    bias = region.bias - int(as_stored(region.x, stored).zero_point) * weight.sum(1, dtype=np.int64)
    epilogue = Epilogue((region.x, region.w), region.y, region.clamp, bias, target, region.requantize)
    return _fastest(weight, stored, Stored(out_shape, epilogue.dtype, channels_last=True), epilogue, target)


def _has_zeros(weight: np.ndarray) -> bool:
    return bool(np.count_nonzero(weight) <= cost.DENSEST * weight.size)


def _fastest(weight: np.ndarray, stored: Stored, out: Stored, epilogue: Epilogue, target: Target) -> Choice:
    """The kernel of ``weight`` [O, K] that takes the fewest cycles."""
    outputs, length = weight.shape
    pixels = prod(out.shape) // outputs
    if stored.dtype != "uint8" or choose(target, stored.dtype, weight) != Packing(16, 4, "uint8", "int8"):
        return Choice(None, "dense: the target has no sparse kernel for these operands")
    if length % LANES or outputs % LANES or not pixels:
        return Choice(None, f"dense: {outputs} x {length} weights are no multiples of {LANES}")
    extents = (pixels, length, outputs)
    forms: dict[str, tuple[float, Form]] = {
        "groups of 4 outputs": (cost.groups(*extents, count_steps(weight)), _groups),
        "slices of 16 outputs": (cost.slices(*extents, int(np.count_nonzero(weight))), _slices),
    }
    name = min(forms, key=lambda name: forms[name][0])
    cycles, form = forms[name]
    dense = cost.dense(*extents)
    compared = f"{name} {cycles / 1000:.0f} thousand cycles, dense {dense / 1000:.0f}"
    if cycles > cost.MARGIN * dense:
        return Choice(None, f"dense: {compared}")
    return Choice(form(weight.astype(np.int8), out, epilogue), f"sparse: {compared}")


def _groups(weight: np.ndarray, out: Stored, epilogue: Epilogue) -> Kernel:
    packed = group(weight)
    func = product(_extents(weight, out), len(packed.inputs), epilogue)
    return Kernel(func, (packed.begins, packed.inputs, packed.values, *epilogue.constants), out)


def _slices(weight: np.ndarray, out: Stored, epilogue: Epilogue) -> Kernel:
    packed = slice_up(weight)
    func = matvec(_extents(weight, out), len(packed.windows), epilogue)
    return Kernel(func, (packed.begins, packed.windows, packed.places, packed.values, *epilogue.constants), out)


def _extents(weight: np.ndarray, out: Stored) -> tuple[int, int, int]:
    outputs, length = weight.shape
    return prod(out.shape) // outputs, length, outputs
