"""The product of rows with a sparse weight on a CPU without vectors.

    for rows:
        for groups of 4 outputs:
            sums[4] = bias
            for inputs of the group:                           # how many is data
                sums += x[row][input] * values of the input
            y[row][group] = epilogue(sums)

An input is a byte or two for its place and four for its weights: less flash than all weights from a third of zeros on.
Two rows at a time would load less, but 8 sums and what they are made of need more registers than there are.
"""

from __future__ import annotations

import numpy as np
import tvm
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from ..epilogue import Epilogue
from .groups import ROWS
from .tile import whole


def place(length: int) -> np.dtype:
    """The dtype of inputs' places in a row."""
    return np.min_scalar_type(length - 1)


def scalar(shape: tuple[int, int, int], inputs: int, epilogue: Epilogue) -> tvm.tirx.PrimFunc:
    """The function of (x int8 [M, K], begins, places, values, *constants of the epilogue) with output [M, O].

    shape  : M, K, O; constants are for ``whole(O)`` outputs, places of the dtype ``place(K)``.
    inputs : of all groups.
    """
    rows, length, outputs = shape
    groups = -(-outputs // ROWS)
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_attr({"tirx.noalias": True, "tvmopt.op": "sparse_scalar"})
        x = T.arg("x", T.buffer((rows, length), "int8"))
        begins = T.arg("begins", T.buffer((whole(outputs) // ROWS + 1,), "int32"))
        places = T.arg("places", T.buffer((inputs,), place(length).name))
        values = T.arg("values", T.buffer((inputs, ROWS), "int8"))
        read = [T.arg(f"scale{i}", T.buffer(c.shape, c.dtype.name)) for i, c in enumerate(epilogue.constants)]
        y = T.arg("y", T.buffer((rows, outputs), epilogue.dtype))
        finish = epilogue.reading(read)
        with T.grid(rows, groups) as (i, loop), T.sblock("group"):
            row, own = T.axis.spatial(rows, i), T.axis.spatial(groups, loop)
            sums = T.sblock_alloc_buffer((ROWS,), "int32", scope="local")
            with T.unroll(ROWS) as o:
                T.buffer_store(sums, read[0][own * ROWS + o], [o])
            with T.serial(begins[own], begins[own + 1]) as at, T.unroll(ROWS) as o:
                term = x[row, places[at].astype("int32")].astype("int32") * values[at, o].astype("int32")
                T.buffer_store(sums, sums[o] + term, [o])
            with T.unroll(ROWS) as o, T.If(own * ROWS + o < outputs), T.Then():
                value = finish(sums[o], own * ROWS + o).astype(epilogue.dtype)
                T.buffer_store(y, value, [row, own * ROWS + o])
    return builder.get()
