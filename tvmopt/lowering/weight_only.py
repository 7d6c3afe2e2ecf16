"""Products of float activations with weights of few bits, which stay so in memory.

Blocks of the function (``tvmopt.op = "weight_only"``), by which its schedule finds its way; columns are
[groups, vectors, lanes]:

    part[row, block, *column] = sum over the block of x[row, k] * stored weight
    acc[row, *column]         = sum over blocks of part * scale + block_sums * offset
    out[row, column]          = acc + bias
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import prod

import numpy as np
from tvm import te

from ..quant.regions import WeightOnly
from ..target import Target
from .arith import Expr
from .dispatch import lower, wants
from .kernel import Kernel, Stored

WARP = 32
"""Columns of a vector on GPUs."""

LONGEST = 128
"""Weights of a column that share a scale on GPUs, at most: its 32 bits are a sixteenth of 4 for each of them."""

WORD = 32
"""Bits of an element of packed weights: neighbours along K, in the lane of their column."""


@wants.register
def _(region: WeightOnly, inputs: tuple[Stored, ...], target: Target) -> tuple[Stored, ...]:
    return tuple(Stored(x.shape, x.dtype) for x in inputs)


@lower.register
def _(region: WeightOnly, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel | None:
    """None where blocks are not whole words."""
    if target.cuda is None:
        packed = pack(region, max(4, target.vector_bytes // 4))
    else:
        packed = pack(_in_shorter_blocks(region), WARP)
    if packed is None:
        return None
    groups, blocks, words, vectors, lanes = packed.words.shape
    length, rows = inputs[0].shape[-1], prod(out_shape[:-1])
    block, each = length // blocks, WORD // packed.bits
    constants = {"w": packed.words, "scale": packed.scale, "offset": packed.offset, "bias": region.bias}
    arrays = {name: array for name, array in constants.items() if array is not None}
    x = te.placeholder((rows, length), "float32", "x")
    read = {name: te.placeholder(array.shape, array.dtype.name, name) for name, array in arrays.items()}
    word, inner = te.reduce_axis((0, words), "word"), te.reduce_axis((0, each), "inner")
    at, k = te.reduce_axis((0, blocks), "at"), te.reduce_axis((0, block), "k")

    def product(row: Expr, at: Expr, group: Expr, vector: Expr, lane: Expr) -> Expr:
        weight = unpacked(read["w"](group, at, word, vector, lane), inner, packed.bits)
        return te.sum(x(row, at * block + word * each + inner) * weight.astype("float32"), axis=[word, inner])

    def total(row: Expr, group: Expr, *column: Expr) -> Expr:
        value = part(row, at, group, *column) * read["scale"](group, at, *column)
        if "offset" in read:
            value = value + sums(row, at) * read["offset"](group, at, *column)
        return te.sum(value, axis=at)

    def element(row: Expr, column: Expr) -> Expr:
        value = acc(row, column // (vectors * lanes), column // lanes % vectors, column % lanes)
        return value + read["bias"](column) if "bias" in read else value

    part = te.compute((rows, blocks, groups, vectors, lanes), product, name="part")
    sums = te.compute((rows, blocks), lambda row, at: te.sum(x(row, at * block + k), axis=k), name="block_sums")
    acc = te.compute((rows, groups, vectors, lanes), total, name="acc")
    out = te.compute((rows, out_shape[-1]), element, name="out")
    func = te.create_prim_func([x, *read.values(), out]).with_attr("tvmopt.op", "weight_only")
    return Kernel(func, tuple(arrays.values()), Stored(out_shape, "float32"))


def _in_shorter_blocks(region: WeightOnly) -> WeightOnly:
    """The same weight in more blocks, which a GPU's warps share out among them."""
    block = len(region.weight) // len(region.scale)
    shorter = max((size for size in range(8, LONGEST + 1, 8) if block % size == 0), default=block)
    scale, zero_point = (array.repeat(block // shorter, axis=0) for array in (region.scale, region.zero_point))
    return replace(region, scale=scale, zero_point=zero_point)


def unpacked(word: Expr, index: Expr, bits: int) -> Expr:
    """Number ``index`` of a word, signed, in the word's highest bits: a shift less than in its lowest.

    What it is multiplied with may be 2**(WORD - bits) times smaller than the largest float32, at most.
    """
    return (word << (WORD - bits - index * bits)) & (-1 << (WORD - bits))


@dataclass(frozen=True, eq=False)
class Packed:
    """A weight as the kernel reads it: ``(weight - zero_point) * scale = unpacked * scale + offset``.

    bits   : of a stored weight, 4 or 8.
    words  : int32 [groups, blocks, words, vectors, lanes].
    scale  : float32 [groups, blocks, vectors, lanes].
    offset : likewise, None where it is 0.
    """

    bits: int
    words: np.ndarray
    scale: np.ndarray
    offset: np.ndarray | None


def pack(region: WeightOnly, lanes: int) -> Packed | None:
    """A region's weight in vectors of ``lanes`` columns; None where blocks are not whole words.

    What is stored is signed: as far as possible the weight less its zero point, so that there is no offset.
    """
    (length, outputs), blocks = region.weight.shape, len(region.scale)
    low, high = int(region.weight.min()), int(region.weight.max())
    bits = 4 if high - low < 16 else 8
    each, half = WORD // bits, 1 << (bits - 1)
    if (length // blocks) % each:
        return None
    middle = int(region.zero_point.flat[0])
    if low < middle - half or high >= middle + half:
        middle = low + half
    vectors = side_by_side(-(-outputs // lanes))
    span = vectors * lanes
    weight, zeros, scale = (
        np.pad(part, [(0, 0), (0, -outputs % span)])
        for part in (
            region.weight.astype(np.int32) - middle,
            region.zero_point.astype(np.int32) - middle,
            region.scale,
        )
    )
    fields = (weight & ((1 << bits) - 1)).astype(np.uint32).reshape(blocks, -1, each, weight.shape[1])
    words = np.bitwise_or.reduce(fields << np.arange(0, WORD, bits, dtype=np.uint32)[:, None], axis=2).view(np.int32)

    def grouped(array: np.ndarray) -> np.ndarray:
        split = array.reshape(*array.shape[:-1], -1, vectors, lanes)
        return np.ascontiguousarray(np.moveaxis(split, -3, 0))

    offset = (-zeros * scale).astype(np.float32)
    scaled = scale * np.float32(2.0 ** (bits - WORD))  # a power of two: exact
    return Packed(bits, grouped(words), grouped(scaled), grouped(offset) if offset.any() else None)


def side_by_side(vectors: int) -> int:
    """Vectors of a group, which are neighbours in memory: 8 or 4, whichever adds fewer; all where there are few."""
    return vectors if vectors < 4 else min((8, 4), key=lambda side: -vectors % side)
