"""How the operands of a product are laid out for the multiply-add instruction of a target."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..target import Target
from .arith import Expr

INT4 = "int4"

FEW = 2
"""Rows of a product whose time is that of reading its weights."""


@dataclass(frozen=True)
class Packing:
    """Operands of one multiply-add: ``acc[lane] += sum(x[i] * w[lane][i] for i in range(depth))``.

    Attributes
    ----------
    lanes : output channels side by side in one vector of int32 accumulators.
    depth : neighbouring elements of the reduction that one instruction sums per lane.
    x     : dtype in which it takes activations.
    w     : dtype of the packed weights; "int4": two of them in each byte, those of the first half of ``depth`` lower.
    pairs : of every four neighbours of the reduction at most two weights are not 0, and two are stored (2:4).
    """

    lanes: int
    depth: int
    x: str
    w: str
    pairs: bool = False

    @property
    def narrows(self) -> bool:
        """Whether several vectors of int32 are made one of bytes at a time (AVX512BW)."""
        return self.lanes == 16 and self.depth > 1 and self.x != "int8"

    @property
    def unit(self) -> int:
        """Neighbouring elements of the reduction that are read at once."""
        return min(self.depth, 16)

    def blocks(self, channels: int) -> int:
        """Vectors needed for ``channels`` output channels."""
        return -(-channels // self.lanes)

    @property
    def span(self) -> int:
        """Elements of the reduction that one instruction covers."""
        return 2 * self.depth if self.pairs else self.depth

    def steps(self, length: int) -> int:
        """Instructions needed for ``length`` elements of the reduction."""
        return -(-length // self.span)

    def trimmed(self, weight: np.ndarray) -> np.ndarray:
        """A weight [O, K] without the steps at its end that are zero: channels up to a whole vector hold nothing."""
        inputs = np.flatnonzero(weight.any(0))
        return weight[:, : max(1, self.steps(int(inputs[-1]) + 1 if inputs.size else 0)) * self.span]

    def pack(self, weight: np.ndarray) -> tuple[np.ndarray, ...]:
        """[O, *taps, K] -> [blocks, *taps, steps, lanes, depth], zeros where there is no weight.

        "int4": [..., depth / 2].
        Of pairs also where they were, int32 [blocks, *taps, steps, lanes, depth / 16]: two bits each, from the lowest.
        """
        outputs, *taps, length = weight.shape
        dtype = "int8" if self.w == INT4 else self.w
        padded = np.zeros((self.blocks(outputs) * self.lanes, *taps, self.steps(length) * self.span), dtype)
        padded[:outputs, ..., :length] = weight
        if self.w == INT4:
            low, high = np.split(self._blocked(padded, self.depth), 2, axis=-1)
            return ((low + 8) | ((high + 8) << 4),)  # a sign to extend would be a shift more
        if not self.pairs:
            return (self._blocked(padded, self.depth),)
        values, positions = pairs(padded)
        shifted = positions.reshape(*positions.shape[:-1], -1, 16).astype(np.uint32) << np.arange(
            0, 32, 2, dtype=np.uint32
        )
        words = np.bitwise_or.reduce(shifted, axis=-1).view(np.int32)
        return self._blocked(values, self.depth), self._blocked(words, self.depth // 16)

    def _blocked(self, padded: np.ndarray, depth: int) -> np.ndarray:
        """[O, *taps, steps * depth] -> [blocks, *taps, steps, lanes, depth]."""
        _, *taps, length = padded.shape
        split = padded.reshape(-1, self.lanes, *taps, length // depth, depth)
        return np.ascontiguousarray(np.moveaxis(split, 1, -2))

    def shift(self, stored: str) -> int:
        """What ``read`` adds to a value stored as ``stored``."""
        return {("int8", "uint8"): 128, ("uint8", "int8"): -128}.get((stored, self.x), 0)

    def read(self, value: Expr) -> Expr:
        """A stored 8-bit activation in the dtype that the multiply-add takes, larger by ``shift``."""
        shift = self.shift(str(value.ty))
        return (value.astype("int32") + shift).astype(self.x) if shift else value.astype(self.x)


def unpacked(byte: Expr, half: Expr) -> Expr:
    """One of the two weights of 4 bits in an int8, as int32: the lower one where ``half`` is 0."""
    return ((byte.astype("int32") >> (half * 4)) & 15) - 8


def choose(target: Target, x: str, weight: np.ndarray | None = None, rows: int | None = None) -> Packing:
    """The packing for activations stored as ``x`` and a ``weight`` whose zero point is already subtracted.

    Such a weight lies in [-255, 255]. Where all of it fits int8, VNNI takes u8 x s8 in fours; otherwise, and
    without VNNI, x86 multiplies 16-bit pairs (never ``vpmaddubsw``, whose 16-bit sums saturate). AArch64's dot product
    takes s8 x s8 in fours, too: four vectors of sums, which make one of bytes; so do 16-bit products of AArch64, if no
    weight is -128, for 16 bits do not hold two such products. Elsewhere products are summed one by one
    and the compiler picks the instruction; lanes are fewer where registers are. GPUs multiply u8 x s8 in tiles of 32
    channels by 32 elements, of whatever instruction, or u8 x u8 where the weight is an activation, too (``weight`` is
    empty). A weight that is not known at compile time counts as one that needs 16 bits.

    rows : of a matrix product. Where they are few, weights that fit 4 bits stay so, for VNNI.
    """
    w = "int16" if weight is None else narrowest(weight)
    if target.cuda is not None:
        if weight is None or w == "int16":
            return Packing(4, 1, x, w)
        return Packing(32, 32, "uint8", w if weight.size else "uint8")
    if "avx512vnni" in target.features and w == "int8":
        if rows is not None and rows <= FEW and weight is not None and weight.min() >= -8 and weight.max() <= 7:
            return Packing(16, 8, "uint8", INT4)
        return Packing(16, 4, "uint8", w)
    if target.llvm.mtriple.startswith("x86_64"):
        return Packing(target.vector_bytes // 4, 2, "int16", w)
    if "dotprod" in target.features and w == "int8":
        return Packing(16, 4, "int8", w)
    if "arm_neon" in target.schedules and w == "int8" and weight is not None and weight.size and weight.min() > -128:
        return Packing(16, 4, "int8", w)
    if target.vector_bytes == 4:
        return Packing(4, 1, x, w)
    cortex_m = target.llvm.mtriple.startswith("thumb")  # 8 registers of 4 sums; other CPUs have at least 16
    return Packing(8 if cortex_m else 16, 1, x, w)


def pairs(weight: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The two elements of every four of a 2:4 weight's last axis that may not be 0, and where they were, ascending."""
    fours = weight.reshape(*weight.shape[:-1], -1, 4)
    order = np.sort(np.argsort(fours == 0, axis=-1, kind="stable")[..., :2], axis=-1)
    shape = (*weight.shape[:-1], -1)
    return np.take_along_axis(fours, order, -1).reshape(shape), order.reshape(shape)


def narrowest(weight: np.ndarray) -> str:
    """The narrower of int8 and int16 that holds every element of ``weight``."""
    return "int8" if weight.min(initial=0) >= -128 and weight.max(initial=0) <= 127 else "int16"
