"""The product of few rows with a sparse weight, with outputs side by side in vectors.

    for rows:
        wide = 16-bit copy of the row                              # block "widen"
        for slices of 16 outputs:
            sums[2][16] = 0
            for pairs of steps of the slice:                       # how many is data
                window[64] = wide[window of the step]
                taken[16] = window[places of the step]             # block "gather0", "gather1": pairs of inputs
                sums += taken * values of the step                 # block "acc0", "acc1"
            y[row][slice] = epilogue(sums[0] + sums[1])

Little is read: 4 bytes for every pair of weights that are not zero, or 2.5 (see ``slices``).
"""

from __future__ import annotations

import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from ..arith import Expr
from ..epilogue import Epilogue
from .slices import DEPTH, HALF, LANES, UNROLLED, WINDOW
from .tile import copy


def matvec(shape: tuple[int, int, int], steps: int, shared: int, epilogue: Epilogue) -> tvm.tirx.PrimFunc:
    """The function of (x uint8 [M, K], begins, windows, places, values, *constants of the epilogue) with output [M, O].

    shape : M, K, O. Constants are for as many outputs as slices have.
    steps : of all slices; shared : outputs that take the same inputs.
    """
    rows, length, outputs = shape
    slices = -(-outputs // LANES)
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_attr({"tirx.noalias": True, "tvmopt.op": "sparse_matvec"})
        x = T.arg("x", T.buffer((rows, length), "uint8"))
        begins = T.arg("begins", T.buffer((slices + 1,), "int32"))
        windows = T.arg("windows", T.buffer((steps,), "int32"))
        places = T.arg("places", T.buffer((steps, LANES // shared, DEPTH), "uint8"))
        values = T.arg("values", T.buffer((steps, LANES, DEPTH), "int8"))
        read = [T.arg(f"scale{i}", T.buffer(c.shape, c.dtype.name)) for i, c in enumerate(epilogue.constants)]
        y = T.arg("y", T.buffer((rows, outputs), epilogue.dtype))
        result = y if outputs % LANES == 0 else T.sblock_alloc_buffer((rows, slices * LANES), epilogue.dtype)
        wide = T.sblock_alloc_buffer((rows, -(-length // HALF) * HALF + HALF), "int16")
        with T.grid(rows, length) as (i, k), T.sblock("widen"):
            i, k = T.axis.spatial(rows, i), T.axis.spatial(length, k)
            T.buffer_store(wide, x[i, k].astype("int16"), [i, k])
        with T.grid(rows, slices) as (i, loop), T.sblock("slice"):
            row, own = T.axis.spatial(rows, i), T.axis.spatial(slices, loop)
            sums = [T.sblock_alloc_buffer((LANES,), "int32", scope="local") for _ in range(UNROLLED)]
            for part in sums:
                with T.vectorized(LANES) as lane:
                    T.buffer_store(part, tirx.const(0, "int32"), [lane])
            with T.serial(begins[own] // UNROLLED, begins[own + 1] // UNROLLED) as pair:
                for number, part in enumerate(sums):
                    _step(number, pair * UNROLLED + number, row, wide, windows, places, values, part)
            with T.vectorized(LANES) as lane:
                total = sum((part[lane] for part in sums[1:]), sums[0][lane])
                T.buffer_store(
                    result,
                    epilogue.reading(read)(total, own * LANES + lane).astype(epilogue.dtype),
                    [row, own * LANES + lane],
                )
        if result is not y:
            copy("crop", (rows, outputs), y, lambda *place: result[place])
    return builder.get()


def _step(
    number: int,
    step: Expr,
    row: Expr,
    wide: tirx.Buffer,
    windows: tirx.Buffer,
    places: tirx.Buffer,
    values: tirx.Buffer,
    sums: tirx.Buffer,
) -> None:
    steps, takers = int(windows.shape[0]), int(places.shape[1])
    window = T.sblock_alloc_buffer((WINDOW,), "int16", scope="local")
    taken = T.sblock_alloc_buffer((LANES,), "int32", scope="local")
    with T.vectorized(WINDOW) as i:
        T.buffer_store(window, wide[row, windows[step] * HALF + i], [i])
    with T.sblock(f"gather{number}"):
        s = T.axis.opaque(steps, step)
        T.reads(window[0:WINDOW], places[s, 0:takers, 0:DEPTH])
        T.writes(taken[0:LANES])
        with T.serial(LANES) as lane, T.sblock("element"):
            lane = T.axis.spatial(LANES, lane)
            low, high = (
                window[places[s, lane * takers // LANES, j].astype("int32")].astype("int32") for j in range(DEPTH)
            )
            T.buffer_store(taken, low | (high << 16), [lane])
    with T.sblock(f"acc{number}"):
        s = T.axis.opaque(steps, step)
        T.reads(sums[0:LANES], taken[0:LANES], values[s, 0:LANES, 0:DEPTH])
        T.writes(sums[0:LANES])
        with T.grid(LANES, DEPTH) as (lane, j), T.sblock("update"):
            lane, j = T.axis.spatial(LANES, lane), T.axis.reduce(DEPTH, j)
            x = tirx.bitwise_and(taken[lane] >> (j * 16), 65535)
            T.buffer_store(sums, sums[lane] + x * values[s, lane, j].astype("int32"), [lane])
