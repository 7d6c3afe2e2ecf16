"""Convolutions of few inputs and outputs: neighbouring pixels share the lanes of a vector, but not what they read.

What a row of the window covers lies side by side in memory, all channels of all taps. Broadcasting 4 bytes shows them
to all lanes, also to those of pixels that need others. Broadcasting 8 shows the first 4 to even lanes, and what lies
behind to odd ones: where these are the next pixel's, which begins a few bytes later, fewer steps cover both.

    3 taps of 3 channels, stride 2:  pixel 0 needs bytes 0-8, pixel 1 bytes 6-14
    4 bytes for all                  0-3, 4-7, 8-11, 12-15
    8 bytes in turn                  0-3 | 4-7,  4-7 | 8-11,  8-11 | 12-15
"""

from __future__ import annotations

import numpy as np
from tvm import te

from ..quant.regions import Conv
from ..quant.slicing import taken
from ..target import Target
from .arith import Expr, narrowed
from .epilogue import Epilogue, largest_sums
from .kernel import Kernel, Stored
from .packing import Packing
from .window import Window, image


def lower_neighbours(
    region: Conv,
    window: Window,
    stored: Stored,
    out_shape: tuple[int, ...],
    zero_point: int,
    form: Packing,
    target: Target,
) -> Kernel | None:
    """The kernel of a convolution; None where this saves no step.

    zero_point : of x as it is stored; form : of the weights.
    """
    outputs, channels, height, width = window.weight.shape
    count, length, apart = form.lanes // outputs, width * channels, window.strides[1] * channels
    if (
        not form.narrows
        or form.depth != 4
        or stored.dtype != form.x
        or count not in (2, 4)
        or count * outputs != form.lanes
        or region.border is not None
        or (window.groups, window.dilations[1], window.spread[1]) != (1, 1, 1)
        or window.size[1] % (2 * count)
        or apart < form.depth
    ):
        return None
    steps = form.steps((count - 1) * (apart - form.depth) + length)
    if steps >= form.steps((count - 1) * apart + length):
        return None

    lane = np.arange(form.lanes)
    of, pixel = lane // count, lane % count
    rows = np.moveaxis(window.weight, 1, -1).reshape(outputs, height, length)
    shown = np.arange(steps * form.depth) + (pixel * (form.depth - apart))[:, None]  # byte of its pixel, by lane
    weight = rows[of[:, None], :, np.clip(shown, 0, length - 1)] * ((shown >= 0) & (shown < length))[..., None]
    packed = np.ascontiguousarray(
        weight.reshape(form.lanes, steps, form.depth, height).transpose(3, 1, 0, 2)[None]
    ).astype(form.w)

    bias = region.bias[of].astype(np.int64) - zero_point * rows.sum((1, 2), dtype=np.int64)[of]
    scales, reach = (region.x, taken(region.w, of)), largest_sums(rows)[of]
    epilogue = Epilogue(scales, region.y, region.clamp, bias, target, region.requantize, reach=reach)
    if not epilogue.bounded:
        return None

    batch, groups = stored.shape[0], window.size[1] // count
    x, w = te.placeholder(stored.physical, stored.dtype, "x"), te.placeholder(packed.shape, form.w, "w")
    slack = (groups - 1) * count * apart + (steps + count - 1) * form.depth - window.covered[1] * channels
    stage = x if stored.margins else window.flat(batch, channels, max(slack, 0), image(x), zero_point)
    tap, step, inner = (
        te.reduce_axis((0, n), name) for n, name in ((height, "tap"), (steps, "step"), (form.depth, "inner"))
    )

    def total(n: Expr, i: Expr, j: Expr, block: Expr, at: Expr) -> Expr:
        e = j * (count * apart) + (step + at % count) * form.depth + inner
        value = stage(n, window.position(0, i, tap), e).astype("int32")
        return te.sum(value * w(block, tap, step, at, inner).astype("int32"), axis=[tap, step, inner])

    space = (batch, window.size[0], groups)
    acc = te.compute((*space, 1, form.lanes), total, "acc")
    scaled = te.compute((*space, form.lanes), lambda *i: epilogue.rounded(acc(*i[:-1], 0, i[-1]), i[-1]), "scaled")

    def element(*place: Expr) -> Expr:
        *group, e = place
        return narrowed(scaled(*group, e % outputs * count + e // outputs), epilogue.dtype)

    y = te.compute((*space, form.lanes), element, "out")
    func = te.create_prim_func([x, w, *epilogue.params, y])
    func = func.with_attrs({"tvmopt.op": "contraction", "tvmopt.neighbours": count})
    return Kernel(func, (packed, *epilogue.constants), Stored(out_shape, epilogue.dtype, channels_last=True))
