"""What lowering one region gives: a TIR function, its packed constants, and how its output is stored."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from ..quant.order import Order, channels_last, plain

if TYPE_CHECKING:
    import tvm


@dataclass(frozen=True)
class Margins:
    """What is around an image in memory, all of it the zero point: rows, and pixels of every row.

    Attributes
    ----------
    above, below : rows.
    left, right  : pixels. A row's elements lie side by side, and ``SLACK`` more end it.
    """

    above: int
    below: int
    left: int
    right: int

    SLACK: ClassVar[int] = 3
    """Elements that a read of 4 may go beyond a row."""

    def around(self, channels: int, height: int, width: int) -> tuple[int, int]:
        """Rows and elements of a row."""
        return self.above + height + self.below, (self.left + width + self.right) * channels + self.SLACK


@dataclass(frozen=True)
class Stored:
    """How a tensor lies in memory.

    Attributes
    ----------
    shape         : the ONNX (channels-first) shape.
    dtype         : numpy name of the stored elements; an int8 tensor may be stored as uint8 (every value
                    + 128) or the other way round, where the target's kernels want it so.
    channels_last : whether axis 1 is stored last. Only tensors of rank >= 3 are.
    permuted      : another order of the axes, where it is neither that nor ONNX's. Only kernels that ask for it
                    (``wants``) are given one.
    margins       : around an image that is stored channels last, where it has some (see ``lowering/margins.py``).
    """

    shape: tuple[int, ...]
    dtype: str
    channels_last: bool = False
    permuted: Order | None = None
    margins: Margins | None = None

    @property
    def physical(self) -> tuple[int, ...]:
        """The shape in memory; with margins [N, rows, elements]."""
        if self.margins is not None:
            return (self.shape[0], *self.margins.around(*self.shape[1:]))
        return tuple(self.shape[axis] for axis in self.order)

    @property
    def order(self) -> Order:
        """The permutation from the ONNX shape to the physical one."""
        rank = len(self.shape)
        return self.permuted or (channels_last(rank) if self.channels_last else plain(rank))

    def place(self, index: Sequence[Any]) -> tuple[Any, ...]:
        """Where the element at an ONNX ``index`` lies: its physical index."""
        return tuple(index[axis] for axis in self.order)

    def logical(self, place: Sequence[Any]) -> tuple[Any, ...]:
        """The ONNX index of the element at a physical index."""
        return tuple(place[self.order.index(axis)] for axis in range(len(self.shape)))


@dataclass(frozen=True, eq=False)
class Kernel:
    """A lowered region, called as ``call_tir(func, [*activations, *constants])``.

    Attributes
    ----------
    func      : unscheduled PrimFunc; attributes starting with ``tvmopt.`` tell schedule rules what it is.
    constants : weights packed for the target, bias, multipliers, tables.
    out       : how it stores its output.
    """

    func: tvm.tirx.PrimFunc
    constants: tuple[np.ndarray, ...]
    out: Stored

    @property
    def shapes(self) -> tuple[tuple[int, ...], ...]:
        """Of the function's parameters. It may take a tensor in another shape, of the same elements in sequence."""
        return tuple(tuple(int(extent) for extent in param.ty.shape) for param in self.func.params)
