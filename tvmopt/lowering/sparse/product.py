"""The product of a matrix of rows with a sparse weight, with pixels (rows) side by side in vectors.

    for tiles of 64 pixels:
        staged[input][pixel] = x[pixel][input]                     # block "stage"
        for groups of 4 outputs:
            sums[4][64] = 0
            for steps of the group:                                # how many is data
                taken[4][64] = staged[inputs of the step]
                sums += taken * values of the step                 # block "acc"
            packed[group][pixel] = epilogue(sums)
            after some groups: y[pixel][their outputs] = packed    # block "out"

(Elsen et al. 2020, Fast Sparse ConvNets, keep pixels in vectors as well; there the input is stored so.)
A last tile that would not be full overlaps the one before.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from math import ceil
from operator import add

import tvm
from tvm import tirx
from tvm.script.ir_builder import IRBuilder
from tvm.tirx.script import builder as T

from ..arith import Expr
from ..epilogue import Epilogue
from .groups import DEPTH, ROWS

PIXELS = 64
"""In a tile: one cache line of an input's bytes."""

LANES = 16
"""Bytes that are transposed at a time, and int32 sums in a vector."""


def position(pixel: Expr) -> Expr:
    """Where a pixel of a tile lies in a staged row, so that interleaving four rows puts it in its place."""
    return pixel % LANES // 4 * LANES + pixel // LANES * 4 + pixel % 4


def product(
    shape: tuple[int, int, int],
    steps: int,
    epilogue: Epilogue,
) -> tvm.tirx.PrimFunc:
    """The function of (x uint8 [M, K], begins, inputs, values, *constants of the epilogue) with output [M, O].

    shape : M, K, O; the last two multiples of ``LANES``.
    steps : of all groups.
    """
    pixels, length, outputs = shape
    dtype = epilogue.dtype
    with IRBuilder() as builder, T.prim_func(s_tir=True):
        T.func_attr({"tirx.noalias": True, "tvmopt.op": "sparse"})
        x = T.arg("x", T.buffer((pixels, length), "uint8"))
        begins = T.arg("begins", T.buffer((outputs // ROWS + 1,), "int32"))
        inputs = T.arg("inputs", T.buffer((steps, DEPTH), "int32"))
        values = T.arg("values", T.buffer((steps, ROWS, DEPTH), "int8"))
        read = [T.arg(f"scale{i}", T.buffer(c.shape, c.dtype.name)) for i, c in enumerate(epilogue.constants)]
        y = T.arg("y", T.buffer((pixels, outputs), dtype))
        source, result = x, y
        if pixels < PIXELS:
            source = T.sblock_alloc_buffer((PIXELS, length), "uint8")
            result = T.sblock_alloc_buffer((PIXELS, outputs), dtype)
            _copy("pad", x, source, (pixels, length))
        last = max(pixels, PIXELS) - PIXELS
        tiles = ceil(pixels / PIXELS)
        with T.serial(tiles) as tile, T.sblock("tile"):
            at = T.axis.spatial(tiles, tile)
            first = tirx.min(at * PIXELS, last) if last % PIXELS else at * PIXELS
            staged = T.sblock_alloc_buffer((length, PIXELS), "uint8")
            _stage(source, staged, first, length)
            size = next(size for size in (64, 48, 32, 16) if outputs % size == 0)
            with T.serial(outputs // size) as part, T.sblock("part"):
                begin = T.axis.spatial(outputs // size, part) * size
                packed = T.sblock_alloc_buffer(_packed(size, dtype), "int32" if _narrow(dtype) else dtype)
                _groups(staged, begins, inputs, values, packed, begin, epilogue.reading(read), dtype)
                _unpack(packed, result, first, begin, dtype)
        if result is not y:
            _copy("crop", result, y, (pixels, outputs))
    return builder.get()


def _narrow(dtype: str) -> bool:
    return dtype in ("int8", "uint8")


def _packed(outputs: int, dtype: str) -> tuple[int, int]:
    """A tile's output before it is transposed: in words of 32 bits."""
    return (outputs // ROWS if _narrow(dtype) else outputs, PIXELS)


def _copy(name: str, source: tirx.Buffer, target: tirx.Buffer, shape: tuple[int, int]) -> None:
    with T.grid(*shape) as loops, T.sblock(name):
        place = [T.axis.spatial(extent, loop) for extent, loop in zip(shape, loops, strict=True)]
        T.buffer_store(target, source[tuple(place)], place)


def _stage(x: tirx.Buffer, staged: tirx.Buffer, first: Expr, length: int) -> None:
    with T.serial(length // LANES) as part, T.sblock("stage"):
        begin = T.axis.spatial(length // LANES, part) * LANES
        T.reads(x[first : first + PIXELS, begin : begin + LANES])
        T.writes(staged[begin : begin + LANES, 0:PIXELS])
        with T.grid(LANES, PIXELS) as (k, p), T.sblock("element"):
            k, p = T.axis.spatial(LANES, k), T.axis.spatial(PIXELS, p)
            T.buffer_store(staged, x[first + position(p), begin + k], [begin + k, p])


def _groups(
    staged: tirx.Buffer,
    begins: tirx.Buffer,
    inputs: tirx.Buffer,
    values: tirx.Buffer,
    packed: tirx.Buffer,
    begin: Expr,
    epilogue: Epilogue,
    dtype: str,
) -> None:
    """The sums of the outputs from ``begin`` on that ``packed`` has room for."""
    groups, steps = int(packed.shape[0]) // (1 if _narrow(dtype) else ROWS), int(inputs.shape[0])
    with T.serial(groups) as loop, T.sblock("group"):
        own = T.axis.spatial(groups, loop)
        group = begin // ROWS + own
        sums = T.sblock_alloc_buffer((ROWS, PIXELS), "int32", scope="local")
        taken = T.sblock_alloc_buffer((DEPTH, PIXELS), "uint8", scope="local")
        with T.unroll(ROWS) as row, T.unroll(PIXELS // LANES) as vector, T.vectorized(LANES) as lane:
            T.buffer_store(sums, tirx.const(0, "int32"), [row, vector * LANES + lane])
        with T.serial(begins[group], begins[group + 1]) as step:
            with T.unroll(DEPTH) as i, T.vectorized(PIXELS) as p:
                T.buffer_store(taken, staged[inputs[step, i], p], [i, p])
            with T.sblock("acc"):
                s = T.axis.opaque(steps, step)
                T.reads(sums[0:ROWS, 0:PIXELS], taken[0:DEPTH, 0:PIXELS], values[s, 0:ROWS, 0:DEPTH])
                T.writes(sums[0:ROWS, 0:PIXELS])
                with T.grid(ROWS, PIXELS, DEPTH) as (o, p, i), T.sblock("update"):
                    o, p, i = T.axis.spatial(ROWS, o), T.axis.spatial(PIXELS, p), T.axis.reduce(DEPTH, i)
                    term = taken[i, position(p)].astype("int32") * values[s, o, i].astype("int32")
                    T.buffer_store(sums, sums[o, p] + term, [o, p])
        with T.unroll(PIXELS // LANES) as vector, T.vectorized(LANES) as lane:
            p = vector * LANES + lane
            done = [epilogue(sums[row, p], group * ROWS + row) for row in range(ROWS)]
            if _narrow(dtype):
                T.buffer_store(packed, _word(done, dtype), [own, p])
            else:
                for row, value in enumerate(done):
                    T.buffer_store(packed, value, [own * ROWS + row, p])


def _word(parts: Sequence[Expr], dtype: str) -> Expr:
    """Four 8-bit values in 32 bits. A sum, so that LLVM joins what the values' own last additions add."""
    bytes_ = [part & 255 if dtype == "int8" else part for part in parts]
    return reduce(add, (byte << (8 * i) for i, byte in enumerate(bytes_)))


def _unpack(packed: tirx.Buffer, y: tirx.Buffer, first: Expr, begin: Expr, dtype: str) -> None:
    """Transposes words of 16 pixels: 16 at a time if it can, which fill a cache line of a pixel's outputs, else 4."""
    total, each = int(packed.shape[0]), ROWS if _narrow(dtype) else 1
    words = 16 if total % 16 == 0 else 4
    width = words * each
    with T.grid(PIXELS // LANES, total // words) as (vector, part), T.sblock("out"):
        vector, part = T.axis.spatial(PIXELS // LANES, vector), T.axis.spatial(total // words, part)
        row, column, word, lane = first + vector * LANES, begin + part * width, part * words, vector * LANES
        T.reads(packed[word : word + words, lane : lane + LANES])
        T.writes(y[row : row + LANES, column : column + width])
        with T.grid(LANES, width) as (p, o), T.sblock("element"):
            p, o = T.axis.spatial(LANES, p), T.axis.spatial(width, o)
            if _narrow(dtype):
                value = (packed[word + o // 4, lane + p] >> (o % 4 * 8)).astype(dtype)
            else:
                value = packed[word + o, lane + p]
            T.buffer_store(y, value, [row + p, column + o])
