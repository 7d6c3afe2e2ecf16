"""Products with pixels side by side in vectors, which sparse weights want: what an instruction set has for them.

A form is the int32 ``lanes`` of a vector and the ``depth``, inputs that a step sums in each; a tile is a vector of an
input's elements, ``lanes * depth`` pixels. Interleaving as many rows of inputs as a step takes gives sums of 4 pixels
out of each 128 bits in turn, which ``_interleave`` states.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tvm.tirx import Buffer, Expr
from tvm.tirx.script import builder

from ._shuffles import bind, ramp

ROWS = 4
"""Outputs that a step computes."""


@dataclass(frozen=True)
class Form(ABC):
    """The instructions of one form.

    Attributes
    ----------
    lanes, depth : see the module's text.
    """

    lanes: int
    depth: int

    @property
    def pixels(self) -> int:
        """Of a tile."""
        return self.lanes * self.depth

    @property
    def name(self) -> str:
        """What no other form is called."""
        return f"{type(self).__name__.lower()}.{self.lanes}.{self.depth}"

    @property
    @abstractmethod
    def stored(self) -> str:
        """The dtype of activations in memory."""

    @property
    def x(self) -> str:
        """The dtype in which inputs are multiplied."""
        return self.stored if self.depth == 4 else "int16"

    @property
    def w(self) -> str:
        """The dtype of weights."""
        return "int8" if self.depth == 4 else "int16"

    @abstractmethod
    def inputs(self, rows: Sequence[Expr]) -> Sequence[Any]:
        """What ``step`` takes for each vector of sums, of ``depth`` rows of pixels."""

    @abstractmethod
    def weights(self, w: Buffer) -> Sequence[Any]:
        """What ``step`` takes for each of the outputs, of weights [ROWS, depth]."""

    @abstractmethod
    def step(self, sums: Expr, x: Any, w: Any) -> Expr:
        """A vector of sums after a step."""

    @abstractmethod
    def narrow(self, rows: Buffer, limits: Buffer, words: Buffer, flip: int) -> None:
        """Emit the words [1, pixels] of 4 bytes that int32 [ROWS, pixels] are: plus limits[0], clipped to limits[1] and
        [2], then the bits of ``flip`` changed in each. Sums do not come near the ends of int32."""

    def multiply_add(self, x: Buffer, w: Buffer, sums: Buffer) -> None:
        """Emit what adds to sums [ROWS, pixels] the products of inputs [depth, pixels] and weights [ROWS, depth]."""
        inputs = self.inputs([bind(x.vload([i, 0], f"{x.dtype}x{self.pixels}")) for i in range(self.depth)])
        for o, weight in enumerate(self.weights(w)):
            for v, taken in enumerate(inputs):
                held = sums.vload([o, v * self.lanes], f"int32x{self.lanes}")
                total = self.step(held, taken, weight)
                builder.buffer_store(sums, total, [o, ramp(v * self.lanes, self.lanes)])
