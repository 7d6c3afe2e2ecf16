"""The shape of a multiply-add that sums products with pixels side by side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from tvm import tirx

from ...target import Target
from ..arith import Expr
from ..packing import Packing, choose


@dataclass(frozen=True)
class Form:
    """``sums[lane] += sum(x[lane][i] * w[i] for i in range(depth))``, and tiles of pixels for it.

    Attributes
    ----------
    lanes : int32 sums in a vector.
    depth : inputs that one step multiplies: what a 32-bit lane holds.
    x     : the dtype in which they are multiplied.
    short : whether products are added in pairs of 16 bits first, which do not hold those of weights that are -128.
    """

    lanes: int
    depth: int
    x: str
    short: bool = False

    @staticmethod
    def of(target: Target, stored: str, weight: np.ndarray) -> Form | None:
        """What the target has for activations stored so and a centered weight; None for nothing."""
        packing = choose(target, stored, weight)
        if packing == Packing(16, 4, "int8", "int8"):
            return DOTPROD if "dotprod" in target.features else NEON
        if packing == Packing(4, 1, "int8", "int8"):
            return SCALAR
        form = _FORMS.get((packing.lanes, packing.depth, packing.x))
        return form if form is not None and stored == form.stored else None

    @property
    def pixels(self) -> int:
        """Of a tile: a vector of an input's elements."""
        return self.lanes * self.depth

    @property
    def stored(self) -> str:
        """The dtype of activations in memory."""
        return "int8" if self.x == "int8" else "uint8"

    @property
    def w(self) -> str:
        """The dtype of weights."""
        return "int16" if self.x == "int16" else "int8"

    def count(self, pixels: int) -> int:
        """Tiles that cover ``pixels``."""
        return -(-pixels // self.pixels)

    def begin(self, tile: Expr, pixels: int) -> Expr:
        """The first pixel of a tile; a last one that would not be full overlaps the one before."""
        overlaps = pixels > self.pixels and pixels % self.pixels
        return tirx.min(tile * self.pixels, pixels - self.pixels) if overlaps else tile * self.pixels

    def pixel(self, place: Expr) -> Expr:
        """Whose sum comes at a place of a tile: interleaving as many rows as ``depth`` takes 4 pixels of each 128 bits
        in turn, which of a single 128 bits are in order."""
        if self.lanes == 4:
            return place
        return place % self.lanes // 4 * (4 * self.depth) + place // self.lanes * 4 + place % 4

    def place(self, pixel: Expr) -> Expr:
        """Where the sum of a pixel comes."""
        if self.lanes == 4:
            return pixel
        return pixel % (4 * self.depth) // 4 * self.lanes + pixel // (4 * self.depth) * 4 + pixel % 4


VNNI, AVX512, AVX2, SSE2 = Form(16, 4, "uint8"), *(Form(lanes, 2, "int16") for lanes in (16, 8, 4))
DOTPROD, NEON = Form(4, 4, "int8"), Form(4, 4, "int8", short=True)
SCALAR = Form(1, 1, "int8")

_FORMS = {(form.lanes, form.depth, form.x): form for form in (VNNI, AVX512, AVX2, SSE2)}
"""By the ``Packing`` of dense weights."""
