"""Quantization parameters: real = (quantized - zero_point) * scale (ONNX DequantizeLinear, opset 10)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class QParams:
    """Scale and zero point of one tensor.

    Attributes
    ----------
    scale      : float32, shape () per tensor or (C,) per channel; finite and positive.
    zero_point : dtype of the quantized tensor, same shape as ``scale``.
    axis       : the channel axis (non-negative) when per channel, else None.
    """

    scale: np.ndarray
    zero_point: np.ndarray
    axis: int | None = None

    @staticmethod
    def per_tensor(scale: float, zero_point: int, dtype: str) -> QParams:
        """Parameters of a tensor that has one scale."""
        return QParams(np.asarray(scale, np.float32), np.asarray(zero_point, dtype))

    @property
    def dtype(self) -> np.dtype:
        """Dtype of the quantized tensor."""
        return self.zero_point.dtype

    @property
    def range(self) -> tuple[int, int]:
        """Smallest and largest quantized value."""
        info = np.iinfo(self.dtype)
        return int(info.min), int(info.max)

    def same(self, other: QParams) -> bool:
        """Whether both map every quantized value to the same real value and have the same dtype."""
        return (
            self.dtype == other.dtype
            and self.axis == other.axis
            and np.array_equal(self.scale, other.scale)
            and np.array_equal(self.zero_point, other.zero_point)
        )

    def shifted(self) -> QParams:
        """The same real values stored with the other signedness (int8 <-> uint8, every value +-128)."""
        to = np.dtype("uint8" if self.dtype == np.int8 else "int8")
        step = 128 if to == np.uint8 else -128
        return QParams(self.scale, (self.zero_point.astype(np.int32) + step).astype(to), self.axis)

    def positive(self, array: np.ndarray) -> tuple[np.ndarray, QParams]:
        """``array``, quantized so, with positive scales and the same real values, to the last bit.

        Where a scale is negative, ``w - zero_point`` changes its sign instead: w becomes its mirror image about the
        zero point; in a channel where one of these does not fit the dtype, w and the zero point become their
        complements, ``~w - ~zero_point == zero_point - w``. No scale may be zero.
        """
        scale, zero_point = self.along(array.ndim)
        low, high = self.range
        mirrored = 2 * zero_point.astype(np.int16) - array
        others = tuple(axis for axis in range(array.ndim) if axis != self.axis)
        fits = ((low <= mirrored) & (mirrored <= high)).all(axis=others, keepdims=True)
        values = np.where(scale > 0, array, np.where(fits, mirrored, ~array)).astype(array.dtype)
        same = (scale > 0) | fits.reshape(scale.shape)
        zero_point = np.where(same, zero_point, ~zero_point).astype(self.dtype)
        return values, QParams(np.abs(self.scale), zero_point.reshape(self.scale.shape), self.axis)

    def repeated(self, count: int) -> QParams:
        """For a tensor with all of its channels ``count`` times over."""
        if self.axis is None:
            return self
        return QParams(np.tile(self.scale, count), np.tile(self.zero_point, count), self.axis)

    def along(self, rank: int) -> tuple[np.ndarray, np.ndarray]:
        """Scale and zero point, reshaped to broadcast against a tensor of ``rank`` dimensions."""
        if self.axis is None:
            return self.scale.reshape(()), self.zero_point.reshape(())
        shape = [1] * rank
        shape[self.axis] = -1
        return self.scale.reshape(shape), self.zero_point.reshape(shape)
