"""The product of a matrix of rows with a sparse weight, tile by tile (see ``tile``)."""

from __future__ import annotations

import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from ..epilogue import Epilogue
from .form import Form
from .tile import Weight, copy, multiply, stage, whole


def product(shape: tuple[int, int, int], steps: int, epilogue: Epilogue, form: Form) -> tvm.tirx.PrimFunc:
    """The function of (x [M, K], begins, inputs, values, *constants of the epilogue) with output [M, O].

    shape : M, K, O. K is at least ``COLUMNS``; constants are for ``whole(O)`` outputs.
    steps : of all groups; input k lies at ``k * form.pixels``.
    """
    pixels, length, outputs = shape
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_attr({"tirx.noalias": True, "tvmopt.op": "sparse"})
        x = T.arg("x", T.buffer((pixels, length), form.stored))
        weight = Weight.declare(whole(outputs), steps, epilogue, form)
        y = T.arg("y", T.buffer((pixels, outputs), epilogue.dtype))
        source, result = x, y
        if pixels < form.pixels:
            source = T.sblock_alloc_buffer((form.pixels, length), form.stored)
            copy("pad", (pixels, length), source, lambda *place: x[place])
        if pixels < form.pixels or outputs < whole(outputs):
            result = T.sblock_alloc_buffer((max(pixels, form.pixels), whole(outputs)), epilogue.dtype)
        with T.serial(form.count(pixels)) as loop, T.sblock("tile"):
            first = form.begin(T.axis.spatial(form.count(pixels), loop), pixels)
            staged = T.sblock_alloc_buffer((length, form.pixels), form.x)
            stage(source, staged, first, 0, form)
            multiply(staged, 0, weight, result, first, source)
        if result is not y:
            copy("crop", (pixels, outputs), y, lambda *place: result[place])
    return builder.get()
