"""What is known of a tensor before its model runs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Known:
    """What is known of a quantized tensor without running the model.

    Attributes
    ----------
    shape  : of the tensor; a scalar has (1,).
    axis   : the axis of its channels.
    mask   : bool [C]: which channels have the same values for every input of the model.
    values : the tensor, of which only the channels in ``mask`` are right; None when there is none.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    axis: int
    mask: np.ndarray
    values: np.ndarray | None = None

    @staticmethod
    def nothing(shape: tuple[int, ...], dtype: np.dtype, axis: int) -> Known:
        """A tensor whose every channel depends on the model's input."""
        return Known(shape, dtype, axis, np.zeros(shape[axis], bool))

    def filled(self) -> np.ndarray:
        """The tensor, with zeros where nothing is known."""
        return np.zeros(self.shape, self.dtype) if self.values is None else self.values

    def uniform(self) -> tuple[np.ndarray, np.ndarray]:
        """Which channels are known to have one value everywhere (bool [C]), and that value (int32 [C])."""
        flat = np.moveaxis(self.filled(), self.axis, 0).reshape(len(self.mask), -1).astype(np.int32)
        return self.mask & (flat == flat[:, :1]).all(axis=1), flat[:, 0]
