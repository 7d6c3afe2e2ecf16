"""The product of a matrix of rows with a sparse weight, tile by tile (see ``tile``)."""

from __future__ import annotations

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from ..epilogue import Epilogue
from .tile import PIXELS, Weight, begin, copy, count, multiply, stage


def product(shape: tuple[int, int, int], steps: int, epilogue: Epilogue) -> tvm.tirx.PrimFunc:
    """The function of (x uint8 [M, K], begins, inputs, values, *constants of the epilogue) with output [M, O].

    shape : M, K, O; the last two multiples of ``LANES``.
    steps : of all groups; input k lies at ``k * PIXELS``.
    """
    pixels, length, outputs = shape
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_attr({"tirx.noalias": True, "tvmopt.op": "sparse"})
        x = T.arg("x", T.buffer((pixels, length), "uint8"))
        weight = Weight.declare(outputs, steps, epilogue)
        y = T.arg("y", T.buffer((pixels, outputs), epilogue.dtype))
        source, result = x, y
        if pixels < PIXELS:
            source = T.sblock_alloc_buffer((PIXELS, length), "uint8")
            result = T.sblock_alloc_buffer((PIXELS, outputs), epilogue.dtype)
            copy("pad", (pixels, length), source, lambda *place: x[place])
        with T.serial(count(pixels)) as loop, T.sblock("tile"):
            first = begin(T.axis.spatial(count(pixels), loop), pixels)
            staged = T.sblock_alloc_buffer((length, PIXELS), "uint8")
            stage(source, staged, first, 0)
            multiply(staged, 0, weight, result, first)
        if result is not y:
            copy("crop", (pixels, outputs), y, lambda *place: result[place])
    return builder.get()
