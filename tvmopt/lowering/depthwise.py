"""Depthwise convolution: every output channel sees one input channel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import reduce

import numpy as np
from tvm import te, tirx

from ..quant.regions import Conv
from ..target import Target
from .arith import Expr
from .contraction import requantized
from .depthwise_quads import lower_quads
from .epilogue import Epilogue, largest_sums
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
    quads = lower_quads(region, window, stored, out_shape, zero_point, form, target)
    if quads is not None:
        return quads
    channels, _, height, _ = window.weight.shape
    repeat = channels // stored.shape[1]
    count = _beside(window, form) if repeat == 1 else 1
    unsigned = form.x != "int8"  # what columns hold
    dotted = unsigned and form.depth in (2, 4) and 1 < height <= 2 * form.depth and channels * count >= form.lanes
    shift = 128 if dotted and stored.dtype == "int8" else 0
    count = count if dotted else 1
    sums = window.weight.sum((1, 2, 3), dtype=np.int64)
    bias = np.tile(region.bias.astype(np.int64) - (zero_point + shift) * sums, count)
    reach = np.tile(largest_sums(window.weight), count)
    scales = region.x, region.w.repeated(count)
    epilogue = Epilogue(scales, region.y, region.clamp, bias, target, region.requantize, reach=reach)
    out = Stored(out_shape, epilogue.dtype, channels_last=True)

    x = te.placeholder(stored.physical, stored.dtype, "x")
    source = image(x)

    def repeated(n: Expr, h: Expr, w: Expr, c: Expr) -> Expr:
        return source(n, h, w, c // repeat)

    if dotted:
        if count == 1:
            read = window.around(repeated, zero_point, channels)
        else:
            read = window.side_by_side(stored.shape[0], channels, repeated, zero_point)
        window = replace(
            window,
            weight=np.tile(window.weight, (count, 1, 1, 1)),
            strides=(window.strides[0], window.strides[1] * count),
            size=(window.size[0], window.size[1] // count),
        )
        weight = _packed(window.weight[:, 0], form)
        w = te.placeholder(weight.shape, weight.dtype.name, "w")
        *above, width, _ = out.physical
        space = (*above, width // count)
        acc = _dot_products(window, _columns(window, read, stored.shape[0], form, shift), w, space)
        y = requantized(acc, (*space, len(bias)), epilogue, form)
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
    (packed,) = form.pack(weight.transpose(0, 2, 1))
    return packed


def _beside(window: Window, form: Packing) -> int:
    """How many neighbouring pixels fill a vector, where one alone does not and they are neighbours in the input too."""
    count = form.lanes // window.weight.shape[0]
    fits = count * window.weight.shape[0] == form.lanes and window.size[1] % max(count, 1) == 0
    return count if fits and window.strides[1] == 1 and window.spread[1] == 1 else 1


def _columns(window: Window, x: Image, batch: int, form: Packing, shift: int) -> te.Tensor:
    """``depth`` rows of a channel side by side in 32 bits: [N, rows, columns, groups of rows, blocks, lanes].

    Neighbouring windows of a row share them. x : the padded input, whose elements are stored ``shift`` lower.
    """
    outputs, _, height, _ = window.weight.shape
    groups, bits = form.steps(height), 32 // form.depth

    def element(n: Expr, i: Expr, q: Expr, group: Expr, block: Expr, lane: Expr) -> Expr:
        def tap(t: int) -> Expr:
            row = group * form.depth + t
            value = x(n, window.position(0, i, row), q, block * form.lanes + lane).astype("int32") + shift
            in_kernel = [row < height] if t + form.depth * (groups - 1) >= height else []
            return _shifted(guarded(in_kernel, value, 0), bits * t)

        return reduce(tirx.bitwise_or, map(tap, range(min(form.depth, height))))

    shape = (batch, window.size[0], window.covered[1], groups, form.blocks(outputs), form.lanes)
    return te.compute(shape, element, name="columns")


def _shifted(byte: Expr, bits: int) -> Expr:
    """``byte << bits``, which may be a literal: TVM refuses those that would lose their sign."""
    return byte << bits if bits < 24 else ((byte - 128) << bits) ^ tirx.const(-(2**31), "int32")


def _dot_products(window: Window, columns: te.Tensor, w: te.Tensor, space: Sequence[int]) -> te.Tensor:
    """Sums of products, ``depth`` rows at a time: acc [*space, blocks, lanes]."""
    blocks, width, groups, lanes, depth = (int(extent) for extent in w.shape)
    bits = 32 // depth
    tap, group, inner = (te.reduce_axis((0, k), name) for k, name in ((width, "tap"), (groups, "rows"), (depth, "i")))

    def total(*index: Expr) -> Expr:
        n, *above, j, block, lane = index
        column = columns(n, above[0] if above else 0, window.position(1, j, tap), group, block, lane)
        value = tirx.bitwise_and(column >> (inner * bits), 2**bits - 1)
        return te.sum(value * w(block, tap, group, lane, inner).astype("int32"), axis=[tap, group, inner])

    return te.compute((*space, blocks, lanes), total, name="acc")
