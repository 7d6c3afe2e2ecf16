"""Convolution of channels-last activations with weights packed for the target's multiply-add.

Zero points cost nothing at run time: weights are centered when they are packed, ``x_zp * sum(weights)`` is
part of the bias, and borders are x_zp.
"""

from __future__ import annotations

from dataclasses import replace
from math import prod

import numpy as np
from tvm import te

from ..quant.regions import Border, Conv, Residual
from ..target import Target
from .arith import Expr
from .contraction import Place, Read, contract, finish, operands, rows
from .depthwise import lower_depthwise
from .dispatch import activation, as_stored, lower, wants
from .epilogue import Epilogue, largest_sums
from .kernel import Kernel, Stored
from .neighbours import lower_neighbours
from .packing import Packing, choose
from .residual import attach
from .window import Image, Window, guarded, image


@wants.register
def _(region: Conv, inputs: tuple[Stored, ...], target: Target) -> tuple[Stored, ...]:
    (x,) = inputs
    return (Stored(x.shape, activation(x.dtype, target), channels_last=True, margins=x.margins),)


@lower.register
def _(region: Conv, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel:
    return convolve(region, inputs, out_shape, target)


def convolve(
    region: Conv,
    inputs: tuple[Stored, ...],
    out_shape: tuple[int, ...],
    target: Target,
    pairs: bool = False,
    residual: Residual | None = None,
) -> Kernel:
    """The kernel of a convolution.

    pairs    : its weight is 2:4 along the input channels, and stored so.
    residual : the region that it is the product of, whose other input comes second; never of a depthwise convolution.
    """
    stored, *others = inputs
    window = Window.of(region, stored.shape, out_shape)
    form = replace(choose(target, stored.dtype, window.weight), pairs=pairs)
    zero_point = int(as_stored(region.x, stored).zero_point)
    if window.groups > 1 and window.weight.shape[1] == 1:
        return lower_depthwise(region, window, stored, out_shape, zero_point, target)
    if residual is None:
        kernel = lower_neighbours(region, window, stored, out_shape, zero_point, form, target)
        if kernel is not None:
            return kernel
    window = window.merged(form.lanes)
    count = 1 if region.border is not None else _beside(window, form)
    if count > 1:
        window = window.beside(count)
    zero_point += form.shift(stored.dtype)
    bias = np.tile(region.bias.astype(np.int64), count) - zero_point * window.weight.sum((1, 2, 3), dtype=np.int64)
    reach = largest_sums(window.weight)
    added = None
    if region.border is not None:
        added = _Added(region.border)
        reach += np.abs(region.border.values.astype(np.int64)).reshape(len(reach), -1).max(1)
    scales = region.x, region.w.repeated(count)
    own = Epilogue(scales, region.y, region.clamp, bias, target, region.requantize, reach=reach)

    batch, _, *above, columns = out_shape
    weight, space, shape = window.weight.transpose(0, 2, 3, 1), (batch, *above, columns // count), stored.physical
    by_rows = window.pointwise and added is None
    if by_rows:  # then images are matrices of rows
        weight, space, shape = form.trimmed(weight[:, 0, 0]), (prod(space),), (prod(space), shape[-1])
    x = te.placeholder(shape, stored.dtype, "x")
    if by_rows:
        read = rows(x, form)
    elif window.groups == 1 and window.dilations[1] == 1 and window.spread[1] == 1 and weight.shape[-1] % form.unit:
        staged = stored.margins is not None
        weight, read = weight.reshape(*weight.shape[:2], -1), _merged(window, x, form, zero_point, staged)
    else:
        read = _windows(window, x, form, zero_point)
    packed = form.pack(weight)
    w = operands(packed)
    acc = contract(space, w[0], read, positions=w[1] if form.pairs else None)
    epilogue, beside = attach(own, residual, others, (*space, len(bias)), target)
    given, constants = [x, *beside, *w], packed
    if added is not None:
        given, constants = [*given, *added.params], (*packed, *added.constants)
    func = finish([*given, *epilogue.params], acc, len(bias), epilogue, form, added)
    return Kernel(func, (*constants, *epilogue.constants), Stored(out_shape, epilogue.dtype, channels_last=True))


class _Added:
    """A border, as what is added to the sum at a place. params : what it reads, which are ``constants``."""

    def __init__(self, border: Border) -> None:
        channels_last = np.ascontiguousarray(np.moveaxis(border.values, 0, -1))
        self.constants: tuple[np.ndarray, ...] = (channels_last, *border.index)
        self.params = tuple(te.placeholder(c.shape, c.dtype.name, "border") for c in self.constants)

    def __call__(self, place: Place, channel: Expr) -> Expr:
        values, *index = self.params
        _, *at = place
        return values(*(case(i) for case, i in zip(index, at, strict=True)), channel)


def _beside(window: Window, form: Packing) -> int:
    """How many neighbouring pixels have room in the lanes of one vector, where a pixel leaves some empty."""
    if form.depth == 1 or window.groups > 1 or window.dilations[1] > 1 or window.pointwise:
        return 1
    most = max(1, form.lanes // window.weight.shape[0])
    return next(count for count in range(most, 0, -1) if window.size[1] % count == 0)


def _windows(window: Window, x: te.Tensor, form: Packing, zero_point: int) -> Read:
    """Input under a window, tap by tap: channels of a pixel are neighbours."""
    batch, channels = int(x.shape[0]), int(x.shape[-1])
    outputs, per_group = window.weight.shape[:2]
    blocks = form.blocks(outputs // window.groups)
    slack = form.steps(per_group) * form.span - per_group  # read beyond a group's channels, times weight 0
    source = image(x)
    if window.bordered or slack or str(x.dtype) != form.x:
        source = window.padded(batch, channels + slack, _reading(form, source, channels, slack, zero_point), zero_point)

    def read(place: Place, block: Expr, taps: Place, k: Expr) -> Expr:
        n, *above, j = place
        h = window.position(0, above[0] if above else 0, taps[0])
        channel = k if window.groups == 1 else block // blocks * per_group + k
        return source(n, h, window.position(1, j, taps[1]), channel)

    return read


def _reading(form: Packing, x: Image, channels: int, slack: int, beyond: int) -> Image:
    def element(n: Expr, h: Expr, w: Expr, c: Expr) -> Expr:
        return guarded([c < channels] if slack else [], form.read(x(n, h, w, c)), beyond)

    return element


def _merged(window: Window, x: te.Tensor, form: Packing, zero_point: int, staged: bool) -> Read:
    """Input under a window, row by row: all channels under a row of the window are neighbours.

    For few channels: 3 x 3 taps of 3 channels are 3 rows of 9 (+ 3) elements, not 9 pixels of 3 (+ 1).
    staged : x lies so already, with margins.
    """
    batch, channels = int(x.shape[0]), window.weight.shape[1]
    length = window.weight.shape[3] * channels
    slack = form.steps(length) * form.span - length
    stage = x
    if not staged:
        stage = window.flat(batch, channels, slack, _reading(form, image(x), channels, 0, zero_point), zero_point)

    def read(place: Place, block: Expr, taps: Place, k: Expr) -> Expr:
        n, *above, j = place
        h = window.position(0, above[0] if above else 0, taps[0])
        return stage(n, h, window.position(1, j, 0) * channels + k)

    return read
