"""A convolution with a sparse weight: tiles of neighbouring positions of the padded image (see ``tile``).

    for images:
        padded = the image with its borders                        # block "pad"
        staged[channel][position] = padded[position][channel]
        for tiles of 64 positions:
            taps shift the positions: an input of a step is a channel at an offset
        y = the positions at which a window begins in its row      # block "crop"

Positions are counted over whole padded rows: those at the end of a row, where no window fits, are computed in vain.
"""

from __future__ import annotations

import numpy as np
import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from ..arith import Expr
from ..epilogue import Epilogue
from ..window import Window, guarded
from .tile import PIXELS, Weight, begin, count, multiply, stage


def unfit(window: Window) -> str:
    """Why there is no such kernel for an ungrouped convolution; "" where there is."""
    return "" if window.strides == window.spread == (1, 1) else "windows do not move by single pixels"


def positions(window: Window) -> int:
    """Positions that are computed for an image, from the first window to the last."""
    return (window.size[0] - 1) * window.covered[1] + window.size[1]


def staged_length(window: Window) -> int:
    """Positions of a staged image, and as many as a last tile reads."""
    rows, columns = window.covered
    return max(rows * columns, rows * columns - positions(window) + PIXELS)


def offsets(window: Window) -> np.ndarray:
    """Where each input lies in the staged image as one row, for the first position: int32 [KH * KW * C]."""
    _, channels, height, width = window.weight.shape
    shifts = [
        row * window.dilations[0] * window.covered[1] + column * window.dilations[1]
        for row in range(height)
        for column in range(width)
    ]
    return np.add.outer(shifts, np.arange(channels) * staged_length(window)).ravel().astype(np.int32)


def convolution(window: Window, batch: int, border: int, steps: int, epilogue: Epilogue) -> tvm.tirx.PrimFunc:
    """The function of (x uint8 [N, H, W, C], begins, inputs, values, *constants) with output [N, OH, OW, O].

    border : value of x around the image.
    steps  : of all groups; inputs lie at ``offsets``.
    """
    outputs, channels, *_ = window.weight.shape
    rows, columns = window.covered
    total, length = positions(window), staged_length(window)
    held = max(rows * columns, PIXELS)
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_attr({"tirx.noalias": True, "tvmopt.op": "sparse"})
        x = T.arg("x", T.buffer((batch, *window.image, channels), "uint8"))
        weight = Weight.declare(outputs, steps, epilogue)
        y = T.arg("y", T.buffer((batch, *window.size, outputs), epilogue.dtype))
        with T.serial(batch) as loop, T.sblock("image"):
            n = T.axis.spatial(batch, loop)
            padded = T.sblock_alloc_buffer((held, channels), "uint8")
            staged = T.sblock_alloc_buffer((channels, length), "uint8")
            result = T.sblock_alloc_buffer((max(total, PIXELS), outputs), epilogue.dtype)

            def pixel(row: Expr, column: Expr, channel: Expr) -> Expr:
                h, in_rows = window.inside(0, row, rows)
                w, in_columns = window.inside(1, column, columns)
                return guarded([*in_rows, *in_columns], x[n, h, w, channel], border)

            with T.grid(rows, columns, channels) as (i, j, c), T.sblock("pad"):
                i, j, c = T.axis.spatial(rows, i), T.axis.spatial(columns, j), T.axis.spatial(channels, c)
                T.buffer_store(padded, pixel(i, j, c), [i * columns + j, c])
            with T.serial(count(held)) as loop, T.sblock("strip"):
                first = begin(T.axis.spatial(count(held), loop), held)
                stage(padded, staged, first, first)
            with T.serial(count(total)) as loop, T.sblock("tile"):
                first = begin(T.axis.spatial(count(total), loop), total)
                multiply(staged, first, weight, result, first)
            height, width = window.size
            with T.grid(height, width, outputs) as (i, j, o), T.sblock("crop"):
                i, j, o = T.axis.spatial(height, i), T.axis.spatial(width, j), T.axis.spatial(outputs, o)
                T.buffer_store(y, result[i * columns + j, o], [n, i, j, o])
    return builder.get()
