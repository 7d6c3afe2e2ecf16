"""The shape of a multiply-add that sums products with pixels side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from ...target import Target
from ..arith import Expr
from ..packing import choose


@dataclass(frozen=True)
class Form:
    """``sums[lane] += sum(x[lane][i] * w[i] for i in range(depth))``, and tiles of pixels for it.

    Attributes
    ----------
    lanes : int32 sums in a vector.
    depth : inputs that one step multiplies: what a 32-bit lane holds.
    """

    lanes: int
    depth: int

    @staticmethod
    def of(target: Target, stored: str, weight: np.ndarray) -> Form | None:
        """What the target has for activations stored so and a centered weight; None for nothing (SSE2, other CPUs)."""
        packing = choose(target, stored, weight)
        if stored != "uint8" or packing.depth not in (2, 4) or packing.lanes not in (8, 16):
            return None
        return Form(packing.lanes, packing.depth)

    @property
    def pixels(self) -> int:
        """Of a tile: a vector of an input's elements."""
        return self.lanes * self.depth

    @property
    def x(self) -> str:
        """The dtype in which inputs are multiplied."""
        return "uint8" if self.depth == 4 else "int16"

    @property
    def w(self) -> str:
        """The dtype of weights."""
        return "int8" if self.depth == 4 else "int16"

    def count(self, pixels: int) -> int:
        """Tiles that cover ``pixels``."""
        return -(-pixels // self.pixels)

    def begin(self, tile: Expr, pixels: int) -> Expr:
        """The first pixel of a tile; a last one that would not be full overlaps the one before."""
        overlaps = pixels > self.pixels and pixels % self.pixels
        return tirx.min(tile * self.pixels, pixels - self.pixels) if overlaps else tile * self.pixels

    def pixel(self, place: Expr) -> Expr:
        """Whose sum comes at a place of a tile: interleaving as many rows as ``depth`` takes 4 pixels of each 128 bits
        in turn."""
        return place % self.lanes // 4 * (4 * self.depth) + place // self.lanes * 4 + place % 4

    def place(self, pixel: Expr) -> Expr:
        """Where the sum of a pixel comes."""
        return pixel % (4 * self.depth) // 4 * self.lanes + pixel // (4 * self.depth) * 4 + pixel % 4


VNNI, AVX512, AVX2 = Form(16, 4), Form(16, 2), Form(8, 2)
