"""Depthwise convolution by quads: 64 neighbours of a row at a time, whose sums are four vectors of 16.

Unpacks within every 128 bits put four rows of 64 bytes side by side in four vectors of 32-bit columns, ready for a dot
product of fours; so columns come in the order of ``place``, and so do weights, biases and multipliers. Making bytes of
four vectors of sums (AVX512BW's packs) undoes that order.
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
    ):
        return None
    elements, groups = count * channels, -(-height // DEPTH)
    blocks, rows = elements // size, -(-height // groups)
    window = replace(window, weight=np.pad(window.weight, ((0, 0), (0, 0), (0, groups * rows - height), (0, 0))))

    last = elements - QUAD  # where the last quad begins: quads overlap, so that none goes beyond its pixels
    order = (np.minimum(np.arange(blocks) * size, last)[:, None] + place(np.arange(QUAD))).reshape(-1)
    weight = window.weight[order % channels, 0]
    packed = weight.reshape(blocks, QUAD, groups, rows, width).transpose(0, 4, 2, 1, 3)
    packed = np.pad(packed, ((0, 0),) * 4 + ((0, DEPTH - rows),)).astype(form.w)
    bias = region.bias[order % channels].astype(np.int64) - zero_point * weight.sum((1, 2), dtype=np.int64)
    scales, reach = (region.x, taken(region.w, order % channels)), largest_sums(weight)
    epilogue = Epilogue(scales, region.y, region.clamp, bias, target, region.requantize, reach=reach)
    if not epilogue.bounded:
        return None

    x, w = te.placeholder(stored.physical, stored.dtype, "x"), te.placeholder(packed.shape, form.w, "w")
    read = window.around(image(x), zero_point)
    tap, group, row = (te.reduce_axis((0, n), name) for n, name in ((width, "tap"), (groups, "group"), (rows, "row")))

    def total(n: Expr, i: Expr, j: Expr, block: Expr, at: Expr) -> Expr:
        h = window.position(0, i, group * rows + row)
        e = tirx.Min(block * size, last) + place(at)
        beside, channel = (e // channels, e % channels) if channels < QUAD else (0, e)
        value = read(n, h, window.position(1, j * count + beside, tap), channel)
        return te.sum(value.astype("int32") * w(block, tap, group, at, row).astype("int32"), axis=[tap, group, row])

    def element(n: Expr, i: Expr, j: Expr, e: Expr) -> Expr:
        block = e // size
        value = scaled(n, i, j, block * QUAD + place(e - tirx.Min(block * size, last))) + to
        return tirx.Max(tirx.Min(value, hi), lo).astype(epilogue.dtype)

    space = (stored.shape[0], window.size[0], window.size[1] // count)
    steps = {"tvmopt.stride": window.strides[1]}
    if window.dilations[1] > 1:
        steps["tvmopt.dilation"] = window.dilations[1]
    acc = te.compute((*space, blocks, QUAD), total, "acc", attrs=steps)
    to, lo, hi = epilogue.limits
    shape = (*space, blocks * QUAD)
    scaled = te.compute(shape, lambda *i: epilogue.scaled(acc(*i[:-1], i[-1] // QUAD, i[-1] % QUAD), i[-1]), "scaled")
    y = te.compute((*space, elements), element, "out", attrs={"tvmopt.limits": [to, lo, hi]})
    func = te.create_prim_func([x, w, *epilogue.params, y]).with_attr("tvmopt.op", "quads")
    return Kernel(func, (packed, *epilogue.constants), Stored(out_shape, epilogue.dtype, channels_last=True))


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
