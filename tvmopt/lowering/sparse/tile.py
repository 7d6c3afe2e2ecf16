"""A tile of pixels times a sparse weight in groups of 4 outputs, with pixels side by side in vectors.

    staged[input][pixel] = x[pixel][input]                     # block "stage"
    for groups of 4 outputs:
        sums[4][pixel] = bias                                  # in a float, if it can be (see ``mantissa``)
        for steps of the group:                                # how many is data
            taken[depth][pixel] = staged[inputs of the step]
            sums += taken * values of the step                 # block "acc"
        packed[group][pixel] = epilogue(sums)                  # block "bytes": four in a word
        after some groups: y[pixel][their outputs] = packed    # block "out"

Sums come in the order in which interleaving rows leaves the pixels; ``out`` puts them in their places (see ``Form``).
(Elsen et al. 2020, Fast Sparse ConvNets, keep pixels in vectors as well; there the input is stored so.)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import numpy as np
from tvm import tirx
from tvm.tirx.script import builder as T

from ..arith import Expr
from ..epilogue import Epilogue
from .form import Form
from .groups import ROWS

COLUMNS = 16
"""Bytes that are transposed at a time, at least: outputs are computed for a multiple of so many."""

WIDE = 2 * COLUMNS
"""Bytes that are transposed at a time where a vector holds a cache line."""

LINE = 64
"""Bytes of a cache line."""

FLIP = 128
"""What flips the sign of a byte."""


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
    form: Form

    @staticmethod
    def declare(outputs: int, steps: int, epilogue: Epilogue, form: Form) -> Weight:
        """Declare them in the function that is being built."""
        begins = T.arg("begins", T.buffer((outputs // ROWS + 1,), "int32"))
        inputs = T.arg("inputs", T.buffer((steps, form.depth), "int32"))
        values = T.arg("values", T.buffer((steps, ROWS, form.depth), form.w))
        read = [T.arg(f"scale{i}", T.buffer(c.shape, c.dtype.name)) for i, c in enumerate(epilogue.constants)]
        return Weight(begins, inputs, values, read[0], epilogue.reading(read), epilogue.dtype, form)


def whole(outputs: int) -> int:
    """Outputs that are computed for so many, which the first of them are."""
    return -(-outputs // COLUMNS) * COLUMNS


def copy(name: str, shape: Sequence[int], target: tirx.Buffer, value: Callable[..., Expr]) -> None:
    """Emit ``target[place] = value(*place)`` for all places of ``shape``, as a block of that name."""
    with T.grid(*shape) as loops, T.sblock(name):
        place = [T.axis.spatial(extent, loop) for extent, loop in zip(shape, loops, strict=True)]
        T.buffer_store(target, value(*place), place)


def stage(x: tirx.Buffer, staged: tirx.Buffer, first: Expr, to: Expr | int, form: Form) -> None:
    """Emit ``staged[:, to : to + pixels] = x[first : first + pixels].T``, of ``COLUMNS`` or more of x; where they are
    no whole number of parts, the last one overlaps the one before."""
    length, pixels = int(staged.shape[0]), form.pixels
    count = WIDE if length % WIDE == 0 and pixels == LINE else COLUMNS
    parts = -(-length // count)
    with T.serial(parts) as part, T.sblock("stage"):
        column = T.axis.spatial(parts, part) * count
        column = tirx.min(column, length - count) if length % count else column
        T.reads(x[first : first + pixels, column : column + count])
        T.writes(staged[column : column + count, to : to + pixels])
        with T.grid(count, pixels) as (k, p), T.sblock("element"):
            k, p = T.axis.spatial(count, k), T.axis.spatial(pixels, p)
            T.buffer_store(staged, x[first + p, column + k].astype(form.x), [column + k, to + p])


def multiply(
    staged: tirx.Buffer,
    at: Expr | int,
    weight: Weight,
    y: tirx.Buffer,
    first: Expr,
    source: tirx.Buffer | None = None,
) -> None:
    """Emit ``y[first : first + pixels] = epilogue(weight * staged[:, at : at + pixels])``.

    source : what the next tile's input is staged from.
    """
    outputs = int(y.shape[1])
    size = next(size for size in (64, 48, 32, 16) if outputs % size == 0)
    with T.serial(outputs // size) as part, T.sblock("part"):
        own = T.axis.spatial(outputs // size, part) * size
        words = size if weight.dtype == "float32" else size // ROWS
        packed = T.sblock_alloc_buffer((words, weight.form.pixels), "float32" if weight.dtype == "float32" else "int32")
        groups = size // ROWS
        with T.serial(groups) as loop, T.sblock("group"):
            row = T.axis.spatial(groups, loop)
            each = weight.form.pixels // groups
            with T.sblock("prefetch"):
                T.reads()  # else what takes an address counts as a read
                T.writes()
                _prefetch(y, first + row * each, each, [own], write=True)
                if source is not None and outputs == size:  # with more of them, others are asked for in vain
                    lines = range(0, int(source.shape[1]), LINE)
                    _prefetch(source, first + weight.form.pixels + row * each, each, lines, write=False)
            _group(staged, at, weight, own // ROWS + row, packed, row)
        _unpack(packed, y, first, own, weight.form)


def _prefetch(data: tirx.Buffer, first: Expr, count: int, columns: Sequence[Expr], write: bool) -> None:
    """Ask for what will be written or read of some pixels, while there is still something to compute."""
    for i in range(count):
        for column in columns:
            there = T.address_of(data[first + i, column])
            T.evaluate(T.call_llvm_intrin("void", "llvm.prefetch", there, int(write), 3, 1))


def _group(staged: tirx.Buffer, at: Expr | int, weight: Weight, group: Expr, packed: tirx.Buffer, own: Expr) -> None:
    steps, depth, pixels, lanes = int(weight.inputs.shape[0]), weight.form.depth, weight.form.pixels, weight.form.lanes
    sums = T.sblock_alloc_buffer((ROWS, pixels), "int32", scope="local")
    taken = T.sblock_alloc_buffer((depth, pixels), weight.form.x, scope="local")
    with T.unroll(ROWS) as row, T.unroll(depth) as vector, T.vectorized(lanes) as lane:
        T.buffer_store(sums, weight.bias[group * ROWS + row], [row, vector * lanes + lane])
    with T.serial(weight.begins[group], weight.begins[group + 1]) as step:
        with T.unroll(depth) as i, T.vectorized(pixels) as p:
            T.buffer_store(taken, staged[0, weight.inputs[step, i] + at + p], [i, p])
        with T.sblock("acc"):
            s = T.axis.opaque(steps, step)
            T.reads(sums[0:ROWS, 0:pixels], taken[0:depth, 0:pixels], weight.values[s, 0:ROWS, 0:depth])
            T.writes(sums[0:ROWS, 0:pixels])
            with T.grid(ROWS, pixels, depth) as (o, p, i), T.sblock("update"):
                o, p, i = T.axis.spatial(ROWS, o), T.axis.spatial(pixels, p), T.axis.reduce(depth, i)
                term = taken[i, weight.form.pixel(p)].astype("int32") * weight.values[s, o, i].astype("int32")
                T.buffer_store(sums, sums[o, p] + term, [o, p])
    if weight.dtype == "float32":
        with T.unroll(ROWS) as row, T.unroll(depth) as vector, T.vectorized(lanes) as lane:
            p = vector * lanes + lane
            T.buffer_store(packed, weight.epilogue(sums[row, p], group * ROWS + row), [own * ROWS + row, p])
    else:
        _pack(sums, weight, group, packed, own)


def _pack(sums: tirx.Buffer, weight: Weight, group: Expr, packed: tirx.Buffer, own: Expr) -> None:
    """Bytes of 4 outputs in a word. Their zero point and limits are applied by what makes the bytes, where sums are
    bounded: a zero point of 128, by flipping the highest bit of signed ones."""
    epilogue, pixels, lanes = weight.epilogue, weight.form.pixels, weight.form.lanes
    scaled = T.sblock_alloc_buffer((ROWS, pixels), "int32", scope="local")
    limits = T.sblock_alloc_buffer((3,), "int32", scope="local")
    info = np.iinfo(weight.form.stored)
    unlimited = (0, int(info.min), int(info.max))
    value, applied = (epilogue.scaled, epilogue.limits) if epilogue.bounded else (epilogue, unlimited)
    flip = FLIP if applied[0] == FLIP else 0
    for i, limit in enumerate(applied):
        T.buffer_store(limits, tirx.const(limit - flip, "int32"), [i])
    with T.unroll(ROWS) as row, T.unroll(weight.form.depth) as vector, T.vectorized(lanes) as lane:
        p = vector * lanes + lane
        T.buffer_store(scaled, value(sums[row, p], group * ROWS + row), [row, p])
    with T.sblock("bytes"):
        T.reads(scaled[0:ROWS, 0:pixels], limits[0:3])
        T.writes(packed[own, 0:pixels])
        T.sblock_attr({"tvmopt.flip": flip})
        with T.serial(pixels) as p, T.sblock("element"):
            p = T.axis.spatial(pixels, p)
            parts = [tirx.max(tirx.min(scaled[row, p] + limits[0], limits[2]), limits[1]) for row in range(ROWS)]
            parts = [(part & 255) ^ flip for part in parts]
            T.buffer_store(packed, reduce(add, (part << (8 * i) for i, part in enumerate(parts))), [own, p])


def _unpack(packed: tirx.Buffer, y: tirx.Buffer, first: Expr, channel: Expr, form: Form) -> None:
    """Transposes as many words of a pixel at a time as a vector has, if it can, else 4."""
    narrow = str(y.dtype) != "float32"
    total, each, pixels = int(packed.shape[0]), ROWS if narrow else 1, form.pixels
    words = form.lanes if total % form.lanes == 0 else 4
    width = words * each
    with T.serial(total // words) as part, T.sblock("out"):
        part = T.axis.spatial(total // words, part)
        column, word = channel + part * width, part * words
        T.reads(packed[word : word + words, 0:pixels])
        T.writes(y[first : first + pixels, column : column + width])
        with T.grid(pixels, width) as (p, o), T.sblock("element"):
            p, o = T.axis.spatial(pixels, p), T.axis.spatial(width, o)
            if narrow:
                value = (packed[word + o // 4, form.place(p)] >> (o % 4 * 8)).astype(y.dtype)
            else:
                value = packed[word + o, form.place(p)]
            T.buffer_store(y, value, [first + p, column + o])
