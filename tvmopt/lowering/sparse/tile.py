"""A tile of 64 pixels times a sparse weight in groups of 4 outputs, with pixels side by side in vectors.

    staged[input][pixel] = x[pixel][input]                     # block "stage"
    for groups of 4 outputs:
        sums[4][64] = bias
        for steps of the group:                                # how many is data
            taken[4][64] = staged[inputs of the step]
            sums += taken * values of the step                 # block "acc"
        packed[group][pixel] = epilogue(sums)                  # block "bytes": four in a word
        after some groups: y[pixel][their outputs] = packed    # block "out"

Sums come in the order in which interleaving four rows of bytes leaves the pixels; ``out`` puts them in their places.
(Elsen et al. 2020, Fast Sparse ConvNets, keep pixels in vectors as well; there the input is stored so.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

from tvm import tirx
from tvm.tirx.script import builder as T

from ..arith import Expr
from ..epilogue import Epilogue
from .groups import DEPTH, ROWS

PIXELS = 64
"""In a tile: one cache line of an input's bytes."""

LANES = 16
"""Bytes that are transposed at a time, and int32 sums in a vector."""


def place(pixel: Expr) -> Expr:
    """The pixel whose sum comes at place ``pixel`` of a tile, and the other way round."""
    return pixel % LANES // 4 * LANES + pixel // LANES * 4 + pixel % 4


@dataclass(frozen=True)
class Weight:
    """The parameters of a function that hold a weight and what its epilogue reads; see ``Groups``.

    ``inputs`` are offsets into the staged input as one row.
    """

    begins: tirx.Buffer
    inputs: tirx.Buffer
    values: tirx.Buffer
    bias: tirx.Buffer
    epilogue: Epilogue
    dtype: str

    @staticmethod
    def declare(outputs: int, steps: int, epilogue: Epilogue) -> Weight:
        """Declare them in the function that is being built."""
        begins = T.arg("begins", T.buffer((outputs // ROWS + 1,), "int32"))
        inputs = T.arg("inputs", T.buffer((steps, DEPTH), "int32"))
        values = T.arg("values", T.buffer((steps, ROWS, DEPTH), "int8"))
        read = [T.arg(f"scale{i}", T.buffer(c.shape, c.dtype.name)) for i, c in enumerate(epilogue.constants)]
        return Weight(begins, inputs, values, read[0], epilogue.reading(read).begun(), epilogue.dtype)


def count(pixels: int) -> int:
    """Tiles that cover ``pixels``."""
    return -(-pixels // PIXELS)


def begin(tile: Expr, pixels: int) -> Expr:
    """The first pixel of a tile; a last one that would not be full overlaps the one before."""
    return tirx.min(tile * PIXELS, pixels - PIXELS) if pixels > PIXELS and pixels % PIXELS else tile * PIXELS


def copy(name: str, shape: Sequence[int], target: tirx.Buffer, value: Callable[..., Expr]) -> None:
    """Emit ``target[place] = value(*place)`` for all places of ``shape``, as a block of that name."""
    with T.grid(*shape) as loops, T.sblock(name):
        place = [T.axis.spatial(extent, loop) for extent, loop in zip(shape, loops, strict=True)]
        T.buffer_store(target, value(*place), place)


def stage(x: tirx.Buffer, staged: tirx.Buffer, first: Expr, to: Expr | int) -> None:
    """Emit ``staged[:, to : to + 64] = x[first : first + 64].T``."""
    parts = int(staged.shape[0]) // LANES
    with T.serial(parts) as part, T.sblock("stage"):
        column = T.axis.spatial(parts, part) * LANES
        T.reads(x[first : first + PIXELS, column : column + LANES])
        T.writes(staged[column : column + LANES, to : to + PIXELS])
        with T.grid(LANES, PIXELS) as (k, p), T.sblock("element"):
            k, p = T.axis.spatial(LANES, k), T.axis.spatial(PIXELS, p)
            T.buffer_store(staged, x[first + p, column + k], [column + k, to + p])


def multiply(staged: tirx.Buffer, at: Expr | int, weight: Weight, y: tirx.Buffer, first: Expr) -> None:
    """Emit ``y[first : first + 64] = epilogue(weight * staged[:, at : at + 64])``."""
    outputs = int(y.shape[1])
    size = next(size for size in (64, 48, 32, 16) if outputs % size == 0)
    with T.serial(outputs // size) as part, T.sblock("part"):
        own = T.axis.spatial(outputs // size, part) * size
        words = size if weight.dtype == "float32" else size // ROWS
        packed = T.sblock_alloc_buffer((words, PIXELS), "float32" if weight.dtype == "float32" else "int32")
        groups = size // ROWS
        with T.serial(groups) as loop, T.sblock("group"):
            row = T.axis.spatial(groups, loop)
            _prefetch(y, first + row * (PIXELS // groups), PIXELS // groups, own)
            _group(staged, at, weight, own // ROWS + row, packed, row)
        _unpack(packed, y, first, own)


def _prefetch(y: tirx.Buffer, first: Expr, count: int, channel: Expr) -> None:
    """Ask for what will be written of some pixels, while there is still something to compute."""
    with T.sblock("prefetch"):
        T.reads()  # else what takes an address counts as a read
        T.writes()
        for i in range(count):
            there = T.address_of(y[first + i, channel])
            T.evaluate(T.call_llvm_intrin("void", "llvm.prefetch", there, 1, 3, 1))


def _group(staged: tirx.Buffer, at: Expr | int, weight: Weight, group: Expr, packed: tirx.Buffer, own: Expr) -> None:
    steps = int(weight.inputs.shape[0])
    sums = T.sblock_alloc_buffer((ROWS, PIXELS), "int32", scope="local")
    taken = T.sblock_alloc_buffer((DEPTH, PIXELS), "uint8", scope="local")
    with T.unroll(ROWS) as row, T.unroll(PIXELS // LANES) as vector, T.vectorized(LANES) as lane:
        T.buffer_store(sums, weight.bias[group * ROWS + row], [row, vector * LANES + lane])
    with T.serial(weight.begins[group], weight.begins[group + 1]) as step:
        with T.unroll(DEPTH) as i, T.vectorized(PIXELS) as p:
            T.buffer_store(taken, staged[0, weight.inputs[step, i] + at + p], [i, p])
        with T.sblock("acc"):
            s = T.axis.opaque(steps, step)
            T.reads(sums[0:ROWS, 0:PIXELS], taken[0:DEPTH, 0:PIXELS], weight.values[s, 0:ROWS, 0:DEPTH])
            T.writes(sums[0:ROWS, 0:PIXELS])
            with T.grid(ROWS, PIXELS, DEPTH) as (o, p, i), T.sblock("update"):
                o, p, i = T.axis.spatial(ROWS, o), T.axis.spatial(PIXELS, p), T.axis.reduce(DEPTH, i)
                term = taken[i, place(p)].astype("int32") * weight.values[s, o, i].astype("int32")
                T.buffer_store(sums, sums[o, p] + term, [o, p])
    if weight.dtype == "float32":
        with T.unroll(ROWS) as row, T.unroll(PIXELS // LANES) as vector, T.vectorized(LANES) as lane:
            p = vector * LANES + lane
            T.buffer_store(packed, weight.epilogue(sums[row, p], group * ROWS + row), [own * ROWS + row, p])
    else:
        _pack(sums, weight.epilogue, group, packed, own)


def _pack(sums: tirx.Buffer, epilogue: Epilogue, group: Expr, packed: tirx.Buffer, own: Expr) -> None:
    """Bytes of 4 outputs in a word. Their zero point and limits are applied by what makes the bytes, where sums are
    bounded."""
    scaled = T.sblock_alloc_buffer((ROWS, PIXELS), "int32", scope="local")
    limits = T.sblock_alloc_buffer((3,), "int32", scope="local")
    value, applied = (epilogue.scaled, epilogue.limits) if epilogue.bounded else (epilogue, (0, 0, 255))
    for i, limit in enumerate(applied):
        T.buffer_store(limits, tirx.const(limit, "int32"), [i])
    with T.unroll(ROWS) as row, T.unroll(PIXELS // LANES) as vector, T.vectorized(LANES) as lane:
        p = vector * LANES + lane
        T.buffer_store(scaled, value(sums[row, p], group * ROWS + row), [row, p])
    with T.sblock("bytes"):
        T.reads(scaled[0:ROWS, 0:PIXELS], limits[0:3])
        T.writes(packed[own, 0:PIXELS])
        with T.serial(PIXELS) as p, T.sblock("element"):
            p = T.axis.spatial(PIXELS, p)
            parts = [tirx.max(tirx.min(scaled[row, p] + limits[0], limits[2]), limits[1]) for row in range(ROWS)]
            T.buffer_store(packed, reduce(add, (part << (8 * i) for i, part in enumerate(parts))), [own, p])


def _unpack(packed: tirx.Buffer, y: tirx.Buffer, first: Expr, channel: Expr) -> None:
    """Transposes 16 words of a pixel at a time if it can, which fill a cache line of its outputs, else 4."""
    narrow = str(y.dtype) != "float32"
    total, each = int(packed.shape[0]), ROWS if narrow else 1
    words = 16 if total % 16 == 0 else 4
    width = words * each
    with T.serial(total // words) as part, T.sblock("out"):
        part = T.axis.spatial(total // words, part)
        column, word = channel + part * width, part * words
        T.reads(packed[word : word + words, 0:PIXELS])
        T.writes(y[first : first + PIXELS, column : column + width])
        with T.grid(PIXELS, width) as (p, o), T.sblock("element"):
            p, o = T.axis.spatial(PIXELS, p), T.axis.spatial(width, o)
            if narrow:
                value = (packed[word + o // 4, place(p)] >> (o % 4 * 8)).astype(y.dtype)
            else:
                value = packed[word + o, place(p)]
            T.buffer_store(y, value, [first + p, column + o])
