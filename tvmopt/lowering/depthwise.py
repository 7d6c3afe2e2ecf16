"""Depthwise convolution: every output channel sees one input channel."""

from __future__ import annotations

from functools import reduce

import numpy as np
from tvm import te, tirx

from ..quant.regions import Conv
from ..target import Target
from .arith import Expr
from .epilogue import Epilogue
from .kernel import Kernel, Stored
from .packing import Packing, choose, narrowest
from .window import Image, Window, guarded, image


def lower_depthwise(
    region: Conv, window: Window, stored: Stored, out_shape: tuple[int, ...], zero_point: int, target: Target
) -> Kernel:
    """The kernel of a convolution with one input channel per group, O / C output channels each.

    zero_point : of x as it is stored.
    """
    form = choose(target, "uint8", window.weight)
    channels, _, height, _ = window.weight.shape
    dotted = form.depth in (2, 4) and 1 < height <= 2 * form.depth and channels >= form.lanes
    shift = 128 if dotted and stored.dtype == "int8" else 0
    bias = region.bias.astype(np.int64) - (zero_point + shift) * window.weight.sum((1, 2, 3), dtype=np.int64)
    epilogue = Epilogue((region.x, region.w), region.y, region.clamp, bias, target, region.requantize)
    out = Stored(out_shape, epilogue.dtype, channels_last=True)

    x = te.placeholder(stored.physical, stored.dtype, "x")
    repeat = channels // stored.shape[1]
    source = image(x)

    def repeated(n: Expr, h: Expr, w: Expr, c: Expr) -> Expr:
        return source(n, h, w, c // repeat)

    if dotted:
        weight = _packed(window.weight[:, 0], form)
        w = te.placeholder(weight.shape, weight.dtype.name, "w")
        columns = _columns(window, repeated, stored, form, zero_point, shift)
        acc = _dot_products(window, columns, w, out)
        lanes = form.lanes
        y = te.compute(out.physical, lambda *i: epilogue(acc(*i[:-1], i[-1] // lanes, i[-1] % lanes), i[-1]), "out")
    else:
        weight = np.ascontiguousarray(window.weight[:, 0].transpose(1, 2, 0)).astype(narrowest(window.weight))
        w = te.placeholder(weight.shape, weight.dtype.name, "w")
        if window.bordered or repeat > 1:
            source = window.padded(stored.shape[0], channels, repeated, zero_point)
        acc = _products(window, source, w, out)
        y = te.compute(out.physical, lambda *i: epilogue(acc(*i), i[-1]), "out")
    func = te.create_prim_func([x, w, *epilogue.params, y]).with_attr("tvmopt.op", "depthwise")
    return Kernel(func, (weight, *epilogue.constants), out)


def _products(window: Window, x: Image, w: te.Tensor, out: Stored) -> te.Tensor:
    """Sums of products, one tap at a time: w [KH, KW, O] -> acc [*space, O]."""
    rows, columns = (te.reduce_axis((0, int(k)), f"tap{i}") for i, k in enumerate(w.shape[:2]))

    def total(*index: Expr) -> Expr:
        n, *above, j, c = index
        h = window.position(0, above[0] if above else 0, rows)
        value = x(n, h, window.position(1, j, columns), c).astype("int32")
        return te.sum(value * w(rows, columns, c).astype("int32"), axis=[rows, columns])

    return te.compute(out.physical, total, name="acc")


def _packed(weight: np.ndarray, form: Packing) -> np.ndarray:
    """[O, KH, KW] -> [blocks, KW, groups of rows, lanes, depth], zeros where there is no weight."""
    return form.pack(weight.transpose(0, 2, 1))


def _columns(window: Window, x: Image, stored: Stored, form: Packing, zero_point: int, shift: int) -> te.Tensor:
    """``depth`` rows of a channel side by side in 32 bits: [N, rows, columns, groups of rows, blocks, lanes].

    Neighbouring windows of a row share them.
    """
    outputs, _, height, _ = window.weight.shape
    rows, columns = window.covered
    groups, bits = form.steps(height), 32 // form.depth

    def element(n: Expr, i: Expr, q: Expr, group: Expr, block: Expr, lane: Expr) -> Expr:
        channel = block * form.lanes + lane
        column, in_columns = window.inside(1, q, columns)
        in_channels = [channel < outputs] if outputs % form.lanes else []

        def tap(t: int) -> Expr:
            kernel_row = group * form.depth + t
            in_kernel = [kernel_row < height] if t + form.depth * (groups - 1) >= height else []
            row, in_rows = window.inside(0, window.position(0, i, kernel_row), rows)
            value = x(n, row, column, channel).astype("int32") + shift
            value = guarded([*in_rows, *in_columns, *in_channels], value, zero_point + shift)
            return guarded(in_kernel, value, 0) << (bits * t)

        return reduce(tirx.bitwise_or, map(tap, range(min(form.depth, height))))

    shape = (stored.shape[0], window.size[0], columns, groups, form.blocks(outputs), form.lanes)
    return te.compute(shape, element, name="columns")


def _dot_products(window: Window, columns: te.Tensor, w: te.Tensor, out: Stored) -> te.Tensor:
    """Sums of products, ``depth`` rows at a time: acc [*space, blocks, lanes]."""
    blocks, width, groups, lanes, depth = (int(extent) for extent in w.shape)
    bits = 32 // depth
    tap, group, inner = (te.reduce_axis((0, k), name) for k, name in ((width, "tap"), (groups, "rows"), (depth, "i")))

    def total(*index: Expr) -> Expr:
        n, *above, j, block, lane = index
        column = columns(n, above[0] if above else 0, window.position(1, j, tap), group, block, lane)
        value = tirx.bitwise_and(column >> (inner * bits), 2**bits - 1)
        return te.sum(value * w(block, tap, group, lane, inner).astype("int32"), axis=[tap, group, inner])

    return te.compute((*out.physical[:-1], blocks, lanes), total, name="acc")
