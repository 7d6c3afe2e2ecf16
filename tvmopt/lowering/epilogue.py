"""From int32 sums of products to the output of a convolution or matrix product."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy

import numpy as np
from tvm import te, tirx

from ..quant.fixed import Scale
from ..quant.params import QParams
from ..quant.reference import multiplier
from ..quant.regions import Clamp, Requantize
from ..target import Target
from . import mantissa
from .arith import Expr, fuses, nearest, rescale, rounded, saturate, saturate_integer, saturate_real, shift, within
from .dispatch import activation


def largest_sums(weight: np.ndarray) -> np.ndarray:
    """The largest magnitude of each output's sum of products with bytes: int64 [O], of a weight [O, ...]."""
    return np.asarray(np.abs(weight).reshape(len(weight), -1).sum(1, dtype=np.int64) * 255)


class Epilogue:
    """Bias and requantization (or dequantization) of every output channel.

    Attributes
    ----------
    dtype     : of the stored output.
    params    : tensors it reads, [O] each: int32 bias; float32 multiplier, or int32 multiplier and shift; float32 bias
                where there is one.
    constants : their values.
    bounded   : whether every sum is an int32 after requantization too; then ``rounded``, made 8 bits, is what a call
                gives, and so is ``scaled`` by way of ``limits``.
    y         : of the output as it is stored, None where that is float.
    """

    def __init__(
        self,
        scales: tuple[QParams, QParams],
        y: QParams | None,
        clamp: Clamp,
        bias: np.ndarray,
        target: Target,
        requantize: Requantize,
        float_bias: np.ndarray | None = None,
        reach: np.ndarray | None = None,
    ) -> None:
        """scales : of the two factors; bias : int64 [O], added to the sum of products, wrapping as it does;
        reach : int64 [O], the largest magnitude of that sum."""
        factor = np.ascontiguousarray(np.broadcast_to(multiplier(*scales, y), bias.shape))
        self._fixed = requantize == "fixed" and y is not None
        scale = Scale.of(factor)
        factors = (scale.multiplier, scale.shift) if self._fixed else (factor,)
        biases = () if float_bias is None else (float_bias,)
        self.constants: tuple[np.ndarray, ...] = (bias.astype(np.int64).astype(np.int32), *factors, *biases)
        self.params: tuple[Callable[[Expr], Expr], ...]
        self.params = tuple(te.placeholder(c.shape, c.dtype.name, "scale") for c in self.constants)
        self.y: QParams | None = None
        if y is not None:
            self.y, self._clamp = stored_output(y, clamp, target)
        self.dtype = "float32" if self.y is None else self.y.dtype.name
        self._reach = None if y is None or reach is None or self._fixed else reach + np.abs(bias)
        larger = np.maximum(factor.astype(np.float64), 1)
        self.bounded = self._reach is not None and bool(np.all(self._reach * larger < 2**30))
        self._begun, self._floats, self._target = False, False, target
        if target.llvm.mtriple.startswith("x86_64"):  # elsewhere this saves no instruction
            self._begin_in_floats()

    def reading(self, buffers: Sequence[tirx.Buffer]) -> Epilogue:
        """The same for a function that is not written in TE: parameters are in buffers, 8-bit results in 32 bits."""
        bound = copy(self)
        bound.dtype = "float32" if self.y is None else "int32"
        bound.params = tuple(buffer.__getitem__ for buffer in buffers)
        return bound

    def begun(self) -> Epilogue:
        """The same for sums that begin with the first of its constants: with the bias, or with that in a float."""
        begun = copy(self)
        begun._begun = True
        if not begun._floats:
            begun._begin_in_floats()
        return begun

    def _begin_in_floats(self) -> None:
        """Let the bias make floats of the sums (see ``mantissa``), where the target can scale them in one go."""
        if self._reach is None or not (self.bounded and fuses(self._target)):
            return
        bias, factor = self.constants
        offset = mantissa.offsets(factor, self._reach, shift(self._clamp, -self.limits[0]))
        if offset is not None:
            self._floats = True
            self.constants = (bias + offset.view(np.int32), factor, -offset * factor)
            self.params = tuple(te.placeholder(c.shape, c.dtype.name, "scale") for c in self.constants)

    def widened(self, channels: int) -> Epilogue:
        """The same for so many channels; those that are added are like the last."""
        wide = copy(self)
        wide.constants = tuple(np.pad(c, (0, channels - len(c)), "edge") for c in self.constants)
        return wide

    @property
    def limits(self) -> tuple[int, int, int]:
        """Zero point, which is added to ``scaled``, and the lowest and highest that it may become."""
        assert self.y is not None
        return int(self.y.zero_point), *self._clamp

    def __call__(self, acc: Expr, *index: Expr) -> Expr:
        """The stored element at an index, whose last is the channel, for an int32 sum of products."""
        if self.y is not None:
            to_bytes = saturate_integer if self._fixed else saturate
            return to_bytes(self._real(acc, index[-1]), *self.limits, self.dtype)
        value, *others = self._real(acc, index[-1]), *(param(index[-1]) for param in self.params[2:])
        return rounded(value) + others[0] if others else value

    def less(self, offset: int, acc: Expr, *index: Expr) -> Expr:
        """The stored element less an offset: float32, or int32 where the arithmetic is "fixed"."""
        zero_point, lo, hi = (limit - offset for limit in self.limits)
        value = self._real(acc, index[-1])
        if self._fixed:
            return saturate_integer(value, zero_point, lo, hi, "int32")
        return saturate_real(value, zero_point, lo, hi)

    def scaled(self, acc: Expr, *index: Expr) -> Expr:
        """The int32 that becomes the stored element by way of ``limits``."""
        return nearest(self._real(acc, index[-1]))

    def rounded(self, acc: Expr, *index: Expr) -> Expr:
        """The int32 that is ``narrowed`` to the stored element."""
        return within(self.scaled(acc, *index), *self.limits, self.dtype)

    def _real(self, acc: Expr, channel: Expr) -> Expr:
        """The sum in units of the output, before it is rounded; int64 where the arithmetic is "fixed"."""
        bias, factor, *others = (param(channel) for param in self.params)
        total = acc if self._begun else acc + bias
        if self._floats:
            total = tirx.reinterpret("float32", total)
            return tirx.call_llvm_pure_intrin("float32", "llvm.fma", total, factor, *others)
        return rescale(total, factor, *others) if self._fixed else total.astype("float32") * factor


class DynamicEpilogue:
    """Dequantization where scale and zero point of the first factor are inputs, known only at run time.

    ``float32(acc - zero_point * sums + bias) * (scale * w_scale) + float_bias``, see ``Epilogue``.
    """

    dtype = "float32"

    def __init__(
        self,
        a: tuple[te.Tensor, te.Tensor],
        shift: int,
        w: QParams,
        sums: np.ndarray,
        bias: np.ndarray | None,
    ) -> None:
        """a : scale and zero point, shape () each, the latter ``shift`` below that of the numbers multiplied.
        sums : int64 [O], sums of the weights per output channel; bias : int32 or float32 [O]."""
        bias = np.zeros(sums.shape, np.int32) if bias is None else bias
        scales = np.ascontiguousarray(np.broadcast_to(w.scale, sums.shape))
        self.constants = (sums.astype(np.int32), scales, bias)
        self.params = tuple(te.placeholder(c.shape, c.dtype.name, "scale") for c in self.constants)
        self._a, self._shift = a, shift

    def __call__(self, acc: Expr, *index: Expr) -> Expr:
        """The float32 element at an index, whose last is the channel, for an int32 sum of products."""
        scale, zero_point = self._a
        sums, w_scale, bias = (param(index[-1]) for param in self.params)
        acc = acc - (zero_point().astype("int32") + self._shift) * sums
        factor = scale() * w_scale
        if str(bias.ty) == "int32":
            return (acc + bias).astype("float32") * factor
        return rounded(acc.astype("float32") * factor) + bias


def stored_output(y: QParams, clamp: Clamp, target: Target) -> tuple[QParams, Clamp]:
    """Parameters and clamp of an output as ``target`` wants it stored."""
    if activation(y.dtype.name, target) == y.dtype.name:
        return y, clamp
    stored = y.shifted()
    return stored, shift(clamp, int(stored.zero_point) - int(y.zero_point))
