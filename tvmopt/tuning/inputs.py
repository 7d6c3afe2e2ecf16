"""What candidates are run on: the memory of a kernel's buffers, with random and with extreme numbers in them.

Every candidate of a task gets the same bytes, and has to give the bytes that the default schedule gives.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from tvm.tirx import PrimFunc

SETS = 4
"""How many sets of inputs a candidate is checked on."""

ALIGNMENT = 64
"""Bytes; as in artifacts, where every tensor begins with a vector."""


@dataclass(frozen=True)
class Buffer:
    """A parameter of a kernel: dtype (numpy's name), shape, whether the kernel writes it, and whether no cache holds it
    when the kernel begins."""

    dtype: str
    shape: tuple[int, ...]
    written: bool
    cold: bool = False

    @property
    def nbytes(self) -> int:
        """Its size."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize

    @property
    def padded(self) -> int:
        """Its size up to where the next buffer begins."""
        return -(-self.nbytes // ALIGNMENT) * ALIGNMENT


def buffers(func: PrimFunc, cold: Collection[int] = ()) -> tuple[Buffer, ...]:
    """The parameters of a function, in order; ``cold`` are those by number."""
    import tvm_ffi
    from tvm import tirx

    written: list[tirx.Var] = []
    tvm_ffi.structural_walk(func.body, (tirx.BufferStore, lambda store: written.append(store.buffer)))
    return tuple(
        Buffer(str(p.ty.dtype), tuple(map(int, p.ty.shape)), any(p.same_as(buffer) for buffer in written), at in cold)
        for at, p in enumerate(func.params)
    )


def draw(read: Sequence[Buffer], number: int) -> list[np.ndarray]:
    """The ``number``-th set of inputs: 0 and 1 random, then only the ends of each range, then a mixture of both.

    Integers of 8 and 16 bits take all their values. Wider ones stay where sums of products and they cannot
    overflow, which no schedule has to survive. Floats are factors and activations of all sizes, and zeros.
    """
    rng = np.random.default_rng(number)
    return [_draw(rng, buffer, number).astype(buffer.dtype).reshape(buffer.shape) for buffer in read]


def _draw(rng: np.random.Generator, buffer: Buffer, number: int) -> np.ndarray:
    size, dtype = math.prod(buffer.shape), np.dtype(buffer.dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, size)
    if dtype.kind == "f":
        values = rng.choice([-1.0, 1.0], size) * np.exp2(rng.uniform(-12, 4 if number else -4, size))
        ends = [0.0, -0.0, 2.0**-140, 1.0, 2.0**20]
    else:
        wide = dtype.itemsize > 2
        low, high = (-(2**15), 2**15) if wide else (np.iinfo(dtype).min, np.iinfo(dtype).max)
        values = rng.integers(max(low, np.iinfo(dtype).min), high, size, endpoint=True)
        ends = [max(low, np.iinfo(dtype).min), high]
    if number < 2:
        return values
    share = 1.0 if number == 2 else 0.5
    return np.where(rng.random(size) < share, rng.choice(np.array(ends, values.dtype), size), values)
