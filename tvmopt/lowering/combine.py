"""Add, sub and mul of two stored elements, as expressions."""

from __future__ import annotations

import numpy as np
from tvm import te

from ..quant.fixed import binary_scales
from ..quant.params import QParams
from ..quant.reference import sum_factors
from ..quant.regions import Binary
from ..target import Target
from .arith import Expr, centered, fma, nearest, rescale, rounded, saturate, saturate_integer, within
from .epilogue import stored_output


class Combine:
    """One element of a ``Binary``.

    Attributes
    ----------
    dtype   : of the stored output.
    scales  : float32 [3]: what the operands (mul: their product) are multiplied by, and what is added then; or int32
              [6]: multiplier and shift of both operands and of the result.
    offsets : what is taken off the stored operands.
    limits  : what is added to the result, and its clamp.
    bounded : whether every result is an int32 before it is clamped; then ``rounded``, made 8 bits, is what a call
              gives.
    """

    def __init__(self, region: Binary, a: QParams, b: QParams, target: Target) -> None:
        """a, b : of the operands as they are stored."""
        self._op, self._fixed, self._target = region.op, region.requantize == "fixed", target
        y, clamp = stored_output(region.y, region.clamp, target)
        self.dtype = y.dtype.name
        self.scales = _fixed_scales(region) if self._fixed else _scales(region)
        if region.op == "mul" or self._fixed:
            self.offsets = int(a.zero_point), int(b.zero_point)
        else:  # of the model's own values, as MLAS adds them
            self.offsets = _moved(a, region.a), _moved(b, region.b)
        self.limits = int(y.zero_point) if self._fixed else _moved(y, region.y), *clamp
        self.bounded = not self._fixed and float(np.abs(self.scales).max()) * 2**17 < 2**30

    def operand(self, x: Expr, offset: Expr | int) -> Expr:
        """A stored element less its offset: float32, or int32 where the arithmetic is "fixed"."""
        return x.astype("int32") - offset if self._fixed else centered(x, offset)

    def __call__(self, a: Expr, b: Expr, scales: te.Tensor, limits: tuple[Expr, Expr, Expr]) -> Expr:
        """The stored element for two operands. scales, limits : as the attributes, or tensors of them."""
        if self._fixed:
            value = rescale(self._integer(a, b, scales), scales[4], scales[5])
            return saturate_integer(value, *limits, self.dtype)
        return saturate(self._real(a, b, scales), *limits, self.dtype)

    def rounded(self, a: Expr, b: Expr, scales: te.Tensor) -> Expr:
        """The int32 that is ``narrowed`` to the stored element."""
        return within(nearest(self._real(a, b, scales)), *self.limits, self.dtype)

    def _real(self, left: Expr, right: Expr, scales: te.Tensor) -> Expr:
        """The float32 result, its model's zero point included."""
        if self._op == "mul":
            return rounded(left * right * scales[0]) + scales[2]
        return fma(left, scales[0], fma(right, scales[1], scales[2], self._target), self._target)

    def _integer(self, left: Expr, right: Expr, scales: te.Tensor) -> Expr:
        """The int32 result of centered operands, before it is scaled: ``fixed.binary``."""
        if self._op == "mul":
            return left * right
        left = rescale(left, scales[0], scales[1]).astype("int32")
        right = rescale(right, scales[2], scales[3]).astype("int32")
        return left - right if self._op == "sub" else left + right


def _moved(stored: QParams, model: QParams) -> int:
    """How much higher a tensor's elements are stored than the model has them: 0, or +-128."""
    return int(stored.zero_point) - int(model.zero_point)


def _scales(region: Binary) -> np.ndarray:
    if region.op == "mul":
        ratio = np.float32(region.a.scale * region.b.scale) / region.y.scale
        return np.array([ratio, 0, int(region.y.zero_point)], np.float32)
    return np.array(sum_factors(region), np.float32)


def _fixed_scales(region: Binary) -> np.ndarray:
    return np.array([part for scale in binary_scales(region) for part in (scale.multiplier, scale.shift)], np.int32)
