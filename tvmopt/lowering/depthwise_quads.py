"""Depthwise convolution by quads: 64 neighbours of a row at a time, whose sums are four vectors of 16.

Unpacks within every 128 bits put four rows of 64 bytes side by side in four vectors of 32-bit columns, ready for a dot
product of fours; so columns come in the order of ``place``, and so do weights, biases and multipliers. Making bytes of
four vectors of sums (AVX512BW's packs) undoes that order.

Where a window is three rows high, the same columns serve two rows of the output, with the weights a row lower for the
second one: [w0 w1 w2 0] and [0 w0 w1 w2].
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from tvm import te, tirx

from ..quant.regions import Conv
from ..quant.slicing import taken
from ..target import Target
from .arith import Expr
from .epilogue import Epilogue, largest_sums
from .kernel import Kernel, Stored
from .packing import Packing
from .window import Window, image

QUAD, LANES, DEPTH = 64, 16, 4

LEAST = 40
"""Elements of a quad that are worth its instructions."""


def place(at: Any) -> Any:
    """Where in a quad's vectors an element is; and the other way round, which element is at a place."""
    return at % LANES // DEPTH * LANES + at // LANES * DEPTH + at % DEPTH


def lower_quads(
    region: Conv,
    window: Window,
    stored: Stored,
    out_shape: tuple[int, ...],
    zero_point: int,
    form: Packing,
    target: Target,
) -> Kernel | None:
    """The kernel of a convolution with one input and one output channel per group; None where quads do not pay.

    zero_point : of x as it is stored; form : of the weights.
    """
    channels, _, height, width = window.weight.shape
    count, size = _tiling(window)
    if (
        not form.narrows
        or form.depth != DEPTH
        or stored.dtype != "uint8"
        or channels != stored.shape[1]
        or size < LEAST
        or region.clamp[0] == region.clamp[1]  # then TVM sees that no sum is needed
    ):
        return None
    elements, together = count * channels, _together(window)
    blocks, groups = elements // size, -(-height // DEPTH)
    rows = -(-(height + together - 1) // groups)
    window = replace(window, weight=np.pad(window.weight, ((0, 0), (0, 0), (0, groups * rows - height), (0, 0))))

    last = elements - QUAD  # where the last quad begins: quads overlap, so that none goes beyond its pixels
    order = (np.minimum(np.arange(blocks) * size, last)[:, None] + place(np.arange(QUAD))).reshape(-1)
    weight = window.weight[order % channels, 0]
    lowered = np.stack([np.roll(weight, down, 1) for down in range(together)])  # zeros go round
    packed = lowered.reshape(together, blocks, QUAD, groups, rows, width).transpose(1, 0, 5, 3, 2, 4)
    packed = np.pad(packed, ((0, 0),) * 5 + ((0, DEPTH - rows),)).astype(form.w)
    bias = region.bias[order % channels].astype(np.int64) - zero_point * weight.sum((1, 2), dtype=np.int64)
    scales, reach = (region.x, taken(region.w, order % channels)), largest_sums(weight)
    epilogue = Epilogue(scales, region.y, region.clamp, bias, target, region.requantize, reach=reach)
    if not epilogue.bounded:
        return None

    x, w = te.placeholder(stored.physical, stored.dtype, "x"), te.placeholder(packed.shape, form.w, "w")
    read = window.around(image(x), zero_point)
    tap, group, row = (te.reduce_axis((0, n), name) for n, name in ((width, "tap"), (groups, "group"), (rows, "row")))

    def total(n: Expr, i: Expr, j: Expr, block: Expr, at: Expr) -> Expr:
        h = window.position(0, i // together * together, group * rows + row)
        e = tirx.Min(block * size, last) + place(at)
        beside, channel = (e // channels, e % channels) if channels < QUAD else (0, e)
        value = read(n, h, window.position(1, j * count + beside, tap), channel)
        weight = w(block, i % together, tap, group, at, row)
        return te.sum(value.astype("int32") * weight.astype("int32"), axis=[tap, group, row])

    def element(n: Expr, i: Expr, j: Expr, e: Expr) -> Expr:
        block = e // size
        value = scaled(n, i, j, block * QUAD + place(e - tirx.Min(block * size, last))) + to
        return tirx.Max(tirx.Min(value, hi), lo).astype(epilogue.dtype)

    space = (stored.shape[0], window.size[0], window.size[1] // count)
    steps = {"tvmopt.stride": window.strides[1], "tvmopt.together": together}
    if window.dilations[1] > 1:
        steps["tvmopt.dilation"] = window.dilations[1]
    acc = te.compute((*space, blocks, QUAD), total, "acc", attrs=steps)
    to, lo, hi = epilogue.limits
    shape = (*space, blocks * QUAD)
    scaled = te.compute(shape, lambda *i: epilogue.scaled(acc(*i[:-1], i[-1] // QUAD, i[-1] % QUAD), i[-1]), "scaled")
    y = te.compute((*space, elements), element, "out", attrs={"tvmopt.limits": [to, lo, hi]})
    func = te.create_prim_func([x, w, *epilogue.params, y]).with_attr("tvmopt.op", "quads")
    return Kernel(func, (packed, *epilogue.constants), Stored(out_shape, epilogue.dtype, channels_last=True))


def _together(window: Window) -> int:
    """How many neighbouring rows of the output have their columns in common, at no step more."""
    apart = (window.strides[0], window.dilations[0], window.spread[0]) != (1, 1, 1)
    small = max(window.weight.shape[2:]) < DEPTH  # of larger ones, sums and columns of two rows leave the registers
    return 2 if small and not apart and window.size[0] % 2 == 0 else 1


def _tiling(window: Window) -> tuple[int, int]:
    """How many neighbouring pixels to take as one, and how many of their elements are a quad's: most of 64.

    The latter is 0 where there are fewer elements, or they lie too far apart in the input.
    """
    channels, pixels = window.weight.shape[0], window.size[1]
    counts = [n for n in range(1, QUAD + 1) if pixels % n == 0] if channels < QUAD and window.spread[1] == 1 else [1]
    sizes = {count: _size(count * channels, window.strides[1] if count > 1 else 1) for count in counts}
    return max(sizes.items(), key=lambda item: (item[1], -item[0]))


def _size(elements: int, stride: int) -> int:
    if elements < QUAD or stride > 2 or (stride == 2 and elements > QUAD):
        return 0
    return max(size for size in range(1, QUAD + 1) if elements % size == 0)
