"""The geometry that all convolutions are lowered from: two spatial axes, not transposed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from tvm import te, tirx

from ..quant.regions import Conv
from .arith import Expr

Pair = tuple[int, int]

Image = Callable[[Expr, Expr, Expr, Expr], Expr]
"""Access to a channels-last tensor with one or two spatial axes: ``(n, h, w, c)``."""


@dataclass(frozen=True, eq=False)
class Window:
    """A 2-d convolution; a 1-d one has height 1, a transposed one is the plain one over a spread input.

    Attributes
    ----------
    weight    : int16 [O, C / groups, KH, KW], zero point subtracted.
    strides   : steps of the window over the (spread, padded) input.
    dilations : distances between taps.
    begins    : rows above and columns left of the input that the first window covers; negative crops.
    spread    : distance at which the input's rows and columns lie; between them is x_zp.
    image     : input rows and columns.
    size      : output rows and columns.
    """

    weight: np.ndarray
    strides: Pair
    dilations: Pair
    begins: Pair
    spread: Pair
    image: Pair
    size: Pair
    groups: int

    @staticmethod
    def of(region: Conv, shape: tuple[int, ...], out_shape: tuple[int, ...]) -> Window:
        """The geometry of ``region`` for an input and output of these ONNX shapes."""
        weight = region.weight.astype(np.int16) - region.w.along(region.weight.ndim)[1].astype(np.int16)
        rank = weight.ndim - 2
        strides, dilations, begins, spread = region.strides, region.dilations, region.padding[:rank], (1,) * rank
        if region.transposed:
            weight = _flipped(weight, region.groups)
            begins = tuple(d * (k - 1) - b for d, k, b in zip(dilations, weight.shape[2:], begins, strict=True))
            strides, spread = spread, strides
        return Window(
            weight if rank == 2 else weight[:, :, None],
            _pair(strides, 1),
            _pair(dilations, 1),
            _pair(begins, 0),
            _pair(spread, 1),
            _pair(shape[2:], 1),
            _pair(out_shape[2:], 1),
            region.groups,
        )

    @property
    def covered(self) -> Pair:
        """Rows and columns of the padded input that windows cover."""
        rows, columns = (
            (n - 1) * s + (k - 1) * d + 1
            for n, s, k, d in zip(self.size, self.strides, self.weight.shape[2:], self.dilations, strict=True)
        )
        return rows, columns

    @property
    def bordered(self) -> bool:
        """Whether windows cover anything but the input itself."""
        inside = all(covered <= size for covered, size in zip(self.covered, self.image, strict=True))
        return not inside or self.begins != (0, 0) or self.spread != (1, 1)

    @property
    def pointwise(self) -> bool:
        """Whether every output position depends on the same position of the input, and all are alike."""
        return self.weight.shape[2:] == (1, 1) and self.image == self.size and not self.bordered and self.groups == 1

    def merged(self, lanes: int) -> Window:
        """The same convolution in groups whose output channels fill whole vectors, or in one group.

        Neighbouring groups are joined, with zero weights between one's inputs and another's outputs.
        """
        outputs, per_group, *kernel = self.weight.shape
        count = next(n for n in range(1, self.groups + 1) if self.groups % n == 0 and self._fills(n, lanes))
        groups = self.groups // count
        joined = np.zeros((groups, count, outputs // self.groups, count, per_group, *kernel), np.int16)
        weight = self.weight.reshape(groups, count, outputs // self.groups, per_group, *kernel)
        for i in range(count):
            joined[:, i, :, i] = weight[:, i]
        return replace(self, weight=joined.reshape(outputs, count * per_group, *kernel), groups=groups)

    def beside(self, count: int) -> Window:
        """The same convolution with ``count`` neighbouring pixels of a row as channels of one, pixels first.

        Its window is as wide as theirs together, with zero weights where one's taps are not another's. In memory
        the output is the same.
        """
        outputs, inputs, rows, width = self.weight.shape
        step = self.strides[1]
        weight = np.zeros((count, outputs, inputs, rows, width + (count - 1) * step), np.int16)
        for i in range(count):
            weight[i, ..., i * step : i * step + width] = self.weight
        return replace(
            self,
            weight=weight.reshape(-1, *weight.shape[2:]),
            strides=(self.strides[0], count * step),
            size=(self.size[0], self.size[1] // count),
        )

    def _fills(self, count: int, lanes: int) -> bool:
        return count == self.groups or self.weight.shape[0] // self.groups * count % lanes == 0

    def position(self, axis: int, out: Expr, tap: Expr) -> Expr:
        """Row (axis 0) or column (axis 1) of the padded input under a tap of the window at ``out``."""
        return out * self.strides[axis] + tap * self.dilations[axis]

    def inside(self, axis: int, position: Expr, extent: int, unit: int = 1) -> tuple[Expr, list[Expr]]:
        """Where a position of the padded input lies in the input, and the conditions under which it does.

        Positions are below ``extent`` and count elements of which a row or column has ``unit``.
        """
        spread, begin = self.spread[axis], self.begins[axis] * unit
        last = ((self.image[axis] - 1) * spread + 1) * unit
        at = position - begin
        conditions = [at >= 0] if begin > 0 else []
        if extent - begin > last:
            conditions.append(at < last)
        if spread == 1:
            return at, conditions
        return at // spread, [*conditions, at % spread == 0]

    def padded(self, batch: int, channels: int, x: Image, border: int) -> Image:
        """A copy ("stage") of all that windows cover, ``border`` where that is not the input."""
        return te.compute((batch, *self.covered, channels), self.around(x, border), name="stage")

    def around(self, x: Image, border: int, channels: int | None = None) -> Image:
        """Access to all that windows cover, ``border`` where that is not the input, or beyond its ``channels``."""
        rows, columns = self.covered

        def read(n: Expr, h: Expr, w: Expr, c: Expr) -> Expr:
            row, in_rows = self.inside(0, h, rows)
            column, in_columns = self.inside(1, w, columns)
            in_channels = [] if channels is None else [c < channels]
            return guarded([*in_rows, *in_columns, *in_channels], x(n, row, column, c), border)

        return read

    def side_by_side(self, batch: int, channels: int, x: Image, border: int) -> Image:
        """The same from a copy, where channels beyond a pixel's are the next pixel's."""
        stage = self.flat(batch, channels, 0, x, border)
        return lambda n, h, w, c: stage(n, h, w * channels + c)

    def flat(self, batch: int, channels: int, slack: int, x: Image, border: int) -> te.Tensor:
        """The same with all elements of a row side by side, and ``slack`` more: [batch, rows, elements]."""
        rows, extent = self.covered[0], self.covered[1] * channels + slack

        def element(n: Expr, h: Expr, e: Expr) -> Expr:
            row, in_rows = self.inside(0, h, rows)
            at, in_row = self.inside(1, e, extent, channels)
            return guarded([*in_rows, *in_row], x(n, row, at // channels, at % channels), border)

        return te.compute((batch, rows, extent), element, name="stage")


def image(x: te.Tensor) -> Image:
    """Access to ``x``."""
    if len(x.shape) == 3:
        return lambda n, h, w, c: x(n, w, c)
    return lambda n, h, w, c: x(n, h, w, c)


def guarded(conditions: list[Expr], value: Expr, otherwise: int) -> Expr:
    """``value`` where all conditions hold, and only then evaluated."""
    return tirx.if_then_else(tirx.all(*conditions), value, tirx.const(otherwise, value.ty)) if conditions else value


def _pair(values: tuple[int, ...], missing: int) -> Pair:
    first, second = values if len(values) == 2 else (missing, *values)
    return first, second


def _flipped(weight: np.ndarray, groups: int) -> np.ndarray:
    """Weight of a transposed convolution [C, O / groups, *K] as the plain one's [O, C / groups, *K]."""
    inputs, per_group, *kernel = weight.shape
    split = weight.reshape(groups, inputs // groups, per_group, *kernel).swapaxes(1, 2)
    plain = split.reshape(groups * per_group, inputs // groups, *kernel)
    return np.flip(plain, tuple(range(2, plain.ndim)))
