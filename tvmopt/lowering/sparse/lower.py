"""Which regions get a sparse kernel, and the kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import prod
from operator import itemgetter

import numpy as np

from ...quant.regions import Conv, MatMul, Region
from ...quant.slicing import centered
from ...target import Target
from ..conv import convolve
from ..dispatch import as_stored
from ..epilogue import Epilogue, largest_sums
from ..kernel import Kernel, Stored
from ..matmul import epilogue_of, multiply
from ..window import Window
from . import cost, pairs
from .convolution import Phases, convolution
from .form import SCALAR, VNNI, Form
from .groups import count_steps, group, used
from .matvec import matvec
from .product import product
from .scalar import place, scalar
from .slices import BLOCK, slice_up
from .tile import COLUMNS, whole


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


def lower(region: Region, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Choice | None:
    """Choose a kernel for a region by the cycles it takes; None where it has no weight, or that no zeros."""
    if not isinstance(region, (Conv, MatMul)) or region.weight is None:
        return None
    weight = centered(region)
    nonzero = np.count_nonzero(weight) / weight.size
    if nonzero > cost.DENSEST:  # no exact number: channels that were added (``widen.py``) are zeros as well
        return (
            None if nonzero == 1 else Choice(None, f"dense: less than {1 - cost.DENSEST:.0%} of its weights are zero")
        )
    if isinstance(region, Conv):
        return _of_convolution(region, inputs, out_shape, target)
    return _of_product(region, inputs, out_shape, target)


def _of_product(region: MatMul, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Choice:
    assert region.weight is not None
    weight = (region.weight.astype(np.int16) - region.b.zero_point.astype(np.int16)).T
    if target.cuda is not None:
        dtype, pixels = inputs[0].dtype, prod(out_shape[:-1])
        return _in_pairs(weight, pixels, 1, dtype, target, partial(multiply, region, inputs, out_shape))
    if region.a is None:
        return Choice(None, "dense: the scale of its input is computed at run time")
    (stored,) = inputs
    epilogue = epilogue_of(region, stored, (), 0, weight.sum(1, dtype=np.int64), target, largest_sums(weight))
    assert isinstance(epilogue, Epilogue)
    return _fastest(weight, stored, Stored(out_shape, epilogue.dtype), epilogue, target)


def _of_convolution(region: Conv, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Choice:
    (stored,) = inputs
    window = Window.of(region, stored.shape, out_shape)
    if target.cuda is not None:
        pixels, form = out_shape[0] * prod(window.size), partial(convolve, region, inputs, out_shape)
        return _in_pairs(window.weight, pixels, window.groups, stored.dtype, target, form)
    if window.groups > 1:
        return Choice(None, "dense: a convolution in groups")
    if region.border is not None:
        return Choice(None, "dense: constants are added to its sums that differ from place to place")
    border = int(as_stored(region.x, stored).zero_point)
    bias = region.bias - border * window.weight.sum((1, 2, 3), dtype=np.int64)
    epilogue = Epilogue(
        (region.x, region.w), region.y, region.clamp, bias, target, region.requantize, reach=largest_sums(window.weight)
    )
    out = Stored(out_shape, epilogue.dtype, channels_last=True)
    if window.pointwise:
        return _fastest(window.weight[:, :, 0, 0], stored, out, epilogue, target)
    return _under_windows(window, border, stored, out, epilogue, target)


def _fastest(weight: np.ndarray, stored: Stored, out: Stored, epilogue: Epilogue, target: Target) -> Choice:
    """The kernel of ``weight`` [O, K] that takes the fewest cycles."""
    form, pixels = Form.of(target, stored.dtype, weight), prod(out.shape) // len(weight)
    if form is None or (form != SCALAR and weight.shape[1] < COLUMNS):
        return _unfit(form, weight.shape[1])
    weight = _whole(weight)
    outputs, length = weight.shape
    extents = (pixels, length, outputs)
    steps = count_steps(weight, form.depth)
    formats: list[tuple[float, str, Callable[[np.ndarray, Stored, Epilogue], Kernel]]]
    packed = _scalar if form == SCALAR else partial(_groups, form=form)
    formats = [(cost.groups(*extents, steps, form), "groups of 4 outputs", packed)]
    if form == VNNI:
        for shared, name in ((1, "slices of 16 outputs"), (BLOCK, "slices of 16 outputs in fours")):
            cycles = cost.slices(*extents, int(np.count_nonzero(used(weight, shared))), shared)
            formats.append((cycles, name, partial(_slices, shared=shared)))
    cycles, name, kernel = min(formats, key=itemgetter(0))
    why, pays = _compared(name, cycles, cost.dense(*extents, form, target))
    return Choice(kernel(weight.astype(form.w), out, epilogue) if pays else None, why)


def _under_windows(
    window: Window, border: int, stored: Stored, out: Stored, epilogue: Epilogue, target: Target
) -> Choice:
    """The kernel of a convolution whose windows cover more than a pixel."""
    weight = window.weight.transpose(0, 2, 3, 1)
    channels = weight.shape[-1]
    flat = _whole(weight.reshape(len(weight), -1))
    outputs, form = len(flat), Form.of(target, stored.dtype, flat)
    if form == SCALAR:
        return Choice(None, "dense: without vectors, kernels of single pixels alone are sparse")
    if form is None or channels < COLUMNS:
        return _unfit(form, channels)
    if window.spread != (1, 1):
        return Choice(None, "dense: a transposed convolution reads more zeros than its weight has")
    batch, phases = out.shape[0], Phases.of(window, form)
    steps = count_steps(flat, form.depth)
    cycles = batch * cost.windows(phases.held, phases.positions, channels, outputs, steps, form)
    dense = cost.dense(batch * prod(window.size), flat.shape[1], outputs, form, target)
    why, pays = _compared("groups of 4 outputs", cycles, dense)
    if not pays:
        return Choice(None, why)
    packed, epilogue = group(flat.astype(form.w), form.depth), epilogue.begun().widened(outputs)
    func = convolution(phases, batch, border, len(packed.inputs), epilogue)
    inputs = phases.offsets()[packed.inputs]
    return Choice(Kernel(func, (packed.begins, inputs, packed.values, *epilogue.constants), out), why)


def _in_pairs(
    weight: np.ndarray, pixels: int, groups: int, dtype: str, target: Target, form: Callable[..., Kernel]
) -> Choice:
    """The choice between a weight [O, K, *taps] stored whole and in pairs, for activations of a dtype on a GPU."""
    if reason := pairs.unfit(weight, dtype, target):
        return Choice(None, f"dense: {reason}")
    assert target.cuda is not None
    sparse, dense = (pairs.cycles(pixels, weight, groups, each, target.cuda) for each in (True, False))
    why, pays = _compared("two of four", sparse, dense)
    return Choice(form(target, pairs=True) if pays else None, why)


def _unfit(form: Form | None, channels: int) -> Choice:
    """Why the target has no sparse kernel for so many input channels."""
    if form is None:
        return Choice(None, "dense: the target has no sparse kernel for these operands")
    return Choice(None, f"dense: {channels} channels are fewer than the {COLUMNS} that are transposed at a time")


def _whole(weight: np.ndarray) -> np.ndarray:
    """A weight [O, K] for ``whole(O)`` outputs."""
    return np.pad(weight, [(0, whole(len(weight)) - len(weight)), (0, 0)])


def _compared(name: str, sparse: float, dense: float) -> tuple[str, bool]:
    """The comparison of two kernels' cycles in a line, and whether the sparse one is clearly faster."""
    pays = sparse <= cost.MARGIN * dense
    return (
        f"{'sparse' if pays else 'dense'}: {name} {sparse / 1000:.1f} thousand cycles, dense {dense / 1000:.1f}",
        pays,
    )


def _groups(weight: np.ndarray, out: Stored, epilogue: Epilogue, form: Form) -> Kernel:
    packed, epilogue = group(weight, form.depth), epilogue.begun().widened(len(weight))
    func = product(_extents(weight, out), len(packed.inputs), epilogue, form)
    return Kernel(func, (packed.begins, packed.inputs * form.pixels, packed.values, *epilogue.constants), out)


def _scalar(weight: np.ndarray, out: Stored, epilogue: Epilogue) -> Kernel:
    packed, epilogue = group(weight, 1), epilogue.begun().widened(len(weight))
    extents = _extents(weight, out)
    inputs, values = packed.inputs[:, 0].astype(place(extents[1])), packed.values[..., 0]
    return Kernel(scalar(extents, len(inputs), epilogue), (packed.begins, inputs, values, *epilogue.constants), out)


def _slices(weight: np.ndarray, out: Stored, epilogue: Epilogue, shared: int) -> Kernel:
    packed, epilogue = slice_up(weight, shared), epilogue.widened(len(weight))
    func = matvec(_extents(weight, out), len(packed.windows), shared, epilogue)
    return Kernel(func, (packed.begins, packed.windows, packed.places, packed.values, *epilogue.constants), out)


def _extents(weight: np.ndarray, out: Stored) -> tuple[int, int, int]:
    outputs = out.physical[-1]
    return prod(out.shape) // outputs, weight.shape[1], outputs
