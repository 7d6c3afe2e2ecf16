"""Depthwise convolution: every output channel sees one input channel."""

from __future__ import annotations

from functools import partial

import numpy as np
from tvm import te

from ..quant.regions import Conv
from ..target import Target
from .arith import Expr
from .epilogue import Epilogue
from .kernel import Kernel, Stored
from .packing import narrowest
from .window import Image, Window, image


def lower_depthwise(
    region: Conv, window: Window, stored: Stored, out_shape: tuple[int, ...], zero_point: int, target: Target
) -> Kernel:
    """The kernel of a convolution with one input channel per group, O / C output channels each.

    Blocks: "stage" (borders; input channels repeated where O > C), "acc" (int32 [*space, O]), "out".
    zero_point : of x as it is stored.
    """
    bias = region.bias.astype(np.int64) - zero_point * window.weight.sum((1, 2, 3), dtype=np.int64)
    epilogue = Epilogue((region.x, region.w), region.y, region.clamp, bias, target)
    out = Stored(out_shape, epilogue.dtype, channels_last=True)
    weight = np.ascontiguousarray(window.weight[:, 0].transpose(1, 2, 0))  # [KH, KW, O]
    weight = weight.astype(narrowest(weight))

    x = te.placeholder(stored.physical, stored.dtype, "x")
    w = te.placeholder(weight.shape, weight.dtype.name, "w")
    source = image(x)
    repeat = weight.shape[-1] // stored.shape[1]
    if window.bordered or repeat > 1:
        repeated = partial(_repeated, source, repeat)
        source = window.padded(stored.shape[0], weight.shape[-1], repeated, zero_point)
    rows, columns = (te.reduce_axis((0, k), f"tap{i}") for i, k in enumerate(weight.shape[:2]))

    def total(*index: Expr) -> Expr:
        n, *above, j, c = index
        h = window.position(0, above[0] if above else 0, rows)
        value = source(n, h, window.position(1, j, columns), c).astype("int32")
        return te.sum(value * w(rows, columns, c).astype("int32"), axis=[rows, columns])

    acc = te.compute(out.physical, total, name="acc")
    y = te.compute(out.physical, lambda *index: epilogue(acc(*index), index[-1]), name="out")
    func = te.create_prim_func([x, w, *epilogue.params, y]).with_attr("tvmopt.op", "depthwise")
    return Kernel(func, (weight, *epilogue.constants), out)


def _repeated(x: Image, times: int, n: Expr, h: Expr, w: Expr, c: Expr) -> Expr:
    return x(n, h, w, c // times)
