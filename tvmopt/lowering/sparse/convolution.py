"""A convolution with a sparse weight: tiles of neighbouring positions of the padded image (see ``tile``).

    for images:
        padded = the image with its borders                        # block "pad"
        staged[channel][position] = padded[position][channel]
        for tiles of positions:
            taps shift the positions: an input of a step is a channel at an offset
        y = the positions at which a window begins in its row      # block "crop"

Positions are counted over whole padded rows: those at the end of a row, where no window fits, are computed in vain.
Windows that move by several pixels take the image apart: pixels whose rows and columns leave the same remainder are an
image of their own, over which windows move by one (a phase).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

import numpy as np
import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from ..arith import Expr
from ..epilogue import Epilogue
from ..window import Pair, Window, guarded
from .form import Form
from .tile import LINE, Weight, multiply, stage, whole


@dataclass(frozen=True, eq=False)
class Phases:
    """The padded image of a window, taken apart; all phases have one size.

    Attributes
    ----------
    count : phases of rows and of columns that taps lie in.
    size  : rows and columns of each.
    """

    window: Window
    form: Form
    count: Pair
    size: Pair

    @staticmethod
    def of(window: Window, form: Form) -> Phases:
        """The phases that an ungrouped convolution reads."""
        axes = list(zip(window.weight.shape[2:], window.dilations, window.strides, window.covered, strict=True))
        rows, columns = (max(tap * d % s for tap in range(taps)) + 1 for taps, d, s, _ in axes)
        height, width = (-(-extent // s) for *_, s, extent in axes)
        return Phases(window, form, (rows, columns), (height, width))

    @property
    def held(self) -> int:
        """Positions of all phases."""
        return prod(self.count) * prod(self.size)

    @property
    def positions(self) -> int:
        """Positions that are computed for an image, from the first window to the last."""
        height, width = self.window.size
        return (height - 1) * self.size[1] + width

    @property
    def length(self) -> int:
        """Positions of a staged channel: those of all phases, and as many as a tile reads that is not full. Channels
        that are several whole cache lines apart would push each other out of the cache, so they are one more apart."""
        needed, size = max(self.held, int(self.shifts().max()) + self.form.pixels), np.dtype(self.form.x).itemsize
        return needed if needed * size % (4 * LINE) else needed + LINE // size

    def shifts(self) -> np.ndarray:
        """Where each tap lies for the first window: int [KH * KW]."""
        window, (height, width) = self.window, self.size
        taps = np.indices(window.weight.shape[2:]).reshape(2, -1)
        (rows, in_rows), (columns, in_columns) = (
            np.divmod(tap * d, s) for tap, d, s in zip(taps, window.dilations, window.strides, strict=True)
        )
        return np.asarray((in_rows * self.count[1] + in_columns) * height * width + rows * width + columns)

    def offsets(self) -> np.ndarray:
        """Where each input lies in the staged image as one row, for the first window: int32 [KH * KW * C]."""
        channels = np.arange(self.window.weight.shape[1]) * self.length
        return np.add.outer(self.shifts(), channels).ravel().astype(np.int32)


def convolution(phases: Phases, batch: int, border: int, steps: int, epilogue: Epilogue) -> tvm.tirx.PrimFunc:
    """The function of (x [N, H, W, C], begins, inputs, values, *constants) with output [N, OH, OW, O].

    border : value of x around the image.
    steps  : of all groups; inputs lie at ``phases.offsets()``. Channels are at least ``COLUMNS``; constants are for
             ``whole(O)`` outputs.
    """
    window, form, (rows, columns) = phases.window, phases.form, phases.size
    outputs, channels, *_ = window.weight.shape
    total, held = phases.positions, max(phases.held, form.pixels)
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_attr({"tirx.noalias": True, "tvmopt.op": "sparse"})
        x = T.arg("x", T.buffer((batch, *window.image, channels), form.stored))
        weight = Weight.declare(whole(outputs), steps, epilogue, form)
        y = T.arg("y", T.buffer((batch, *window.size, outputs), epilogue.dtype))
        with T.serial(batch) as loop, T.sblock("image"):
            n = T.axis.spatial(batch, loop)
            padded = T.sblock_alloc_buffer((held, channels), form.stored)
            staged = T.sblock_alloc_buffer((channels, phases.length), form.x)
            result = T.sblock_alloc_buffer((max(total, form.pixels), whole(outputs)), epilogue.dtype)

            def pixel(row: Expr, column: Expr, channel: Expr) -> Expr:
                h, in_rows = window.inside(0, row, rows * window.strides[0])
                w, in_columns = window.inside(1, column, columns * window.strides[1])
                return guarded([*in_rows, *in_columns], x[n, h, w, channel], border)

            extents = (*phases.count, rows, columns, channels)
            with T.grid(*extents) as loops, T.sblock("pad"):
                p, q, i, j, c = (T.axis.spatial(extent, at) for extent, at in zip(extents, loops, strict=True))
                place = ((p * phases.count[1] + q) * rows + i) * columns + j
                value = pixel(i * window.strides[0] + p, j * window.strides[1] + q, c)
                T.buffer_store(padded, value, [place, c])
            with T.serial(form.count(held)) as loop, T.sblock("strip"):
                first = form.begin(T.axis.spatial(form.count(held), loop), held)
                stage(padded, staged, first, first, form)
            with T.serial(form.count(total)) as loop, T.sblock("tile"):
                first = form.begin(T.axis.spatial(form.count(total), loop), total)
                multiply(staged, first, weight, result, first)
            height, width = window.size
            with T.grid(height, width, outputs) as (i, j, o), T.sblock("crop"):
                i, j, o = T.axis.spatial(height, i), T.axis.spatial(width, j), T.axis.spatial(outputs, o)
                T.buffer_store(y, result[i * columns + j, o], [n, i, j, o])
    return builder.get()
