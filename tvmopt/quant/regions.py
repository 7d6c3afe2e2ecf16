"""What an int8 region computes, as plain data: one class per operator family.

A region is the unit every back end lowers. Its arithmetic is defined by ``reference.py`` (numpy) and, in
the graph, by the float body of its composite function (``relax_form.py`` converts between the two).
Shapes and axes are those of ONNX (channels first); how a target stores a tensor is the lowering's choice.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

import numpy as np

from .params import QParams

Clamp = tuple[int, int]
"""Lowest and highest quantized value an output may take: relu and clip, and the dtype's own range."""

Requantize = Literal["float", "fixed"]
"""How sums become 8-bit outputs: by a float32 product (``reference.py``), or by a multiplier and a shift
(``fixed.py``)."""


@dataclass(frozen=True, eq=False)
class Region:
    """Base of all regions.

    kind       : suffix of the composite's name: ``tvmopt.<kind>``.
    requantize : its arithmetic, where that makes a difference: not for tables and what is computed like one.
    """

    kind: ClassVar[str]
    requantize: Requantize = field(default="float", kw_only=True)


@dataclass(frozen=True, eq=False)
class Border:
    """An int32 image [O, *T] with few different rows and columns.

    Attributes
    ----------
    values : int32 [O, *cases].
    index  : per spatial axis, int32 [T]: which case each row or column is.
    """

    values: np.ndarray
    index: tuple[np.ndarray, ...]

    @staticmethod
    def of(image: np.ndarray) -> Border:
        """The form of an int32 image [O, *T]."""
        values, index = image, []
        for axis in range(1, image.ndim):
            values, inverse = np.unique(values, axis=axis, return_inverse=True)
            index.append(inverse.reshape(-1).astype(np.int32))
        return Border(values, tuple(index))

    @property
    def image(self) -> np.ndarray:
        """int32 [O, *T]."""
        return self.values[np.ix_(np.arange(len(self.values)), *self.index)]


@dataclass(frozen=True, eq=False)
class Conv(Region):
    """Convolution in 1 or 2 spatial dimensions: x [N, C, *S] -> y [N, O, *T].

    ``acc[int32] = sum((x - x_zp) * (w - w_zp)) + bias (+ border)``; borders are x_zp. ONNX Conv / QLinearConv.

    weight   : [O, C / groups, *K], dtype of ``w``; transposed: [C, O / groups, *K] as ONNX ConvTranspose.
    bias     : int32 [O], in units of x.scale * w.scale.
    w        : per tensor, or per output channel.
    padding  : begins then ends, as ONNX pads.
    output   : ``y`` None gives float32 ``acc * (x.scale * w.scale)``.
    border   : what is added besides the bias, in the same units: constant channels that were folded away, where they
               met padding. Of one group only.
    """

    kind: ClassVar[str] = "conv"
    x: QParams
    w: QParams
    weight: np.ndarray
    bias: np.ndarray
    y: QParams | None
    clamp: Clamp
    strides: tuple[int, ...]
    padding: tuple[int, ...]
    dilations: tuple[int, ...]
    groups: int = 1
    transposed: bool = False
    output_padding: tuple[int, ...] = ()
    border: Border | None = None


@dataclass(frozen=True, eq=False)
class MatMul(Region):
    """Matrix product: a [..., M, K] x b [..., K, N] -> y [..., M, N]. ONNX MatMul / QLinearMatMul / QGemm.

    weight : b as a constant [K, N], or None when b is an activation (then per tensor, no bias).
    a      : None when its scale and zero point are inputs (dynamic quantization): the region then takes
             (a, a_scale float32 [], a_zero_point []) and gives float32.
    b      : per tensor, or per column (axis of N).
    bias   : int32 [N] in units of a.scale * b.scale, or float32 [N] when ``y`` is None.
    output : ``y`` None gives float32.
    """

    kind: ClassVar[str] = "matmul"
    a: QParams | None
    b: QParams
    weight: np.ndarray | None
    bias: np.ndarray | None
    y: QParams | None
    clamp: Clamp


@dataclass(frozen=True, eq=False)
class WeightOnly(Region):
    """Matrix product of a float activation with a quantized constant: a [..., M, K] x b [K, N] -> float32 [..., M, N].

    ``b = (weight - zero_point) * scale``, whose parameters ``block`` neighbours along K share: ONNX DequantizeLinear
    (blocked since opset 21) and MatMul, com.microsoft MatMulNBits. The order in which products are summed is left open.

    weight     : int8 or uint8 [K, N].
    scale      : float32 [K / block, N].
    zero_point : dtype of ``weight``, same shape as ``scale``.
    bias       : float32 [N], or None.
    """

    kind: ClassVar[str] = "weight_only"
    weight: np.ndarray
    scale: np.ndarray
    zero_point: np.ndarray
    bias: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Binary(Region):
    """Elementwise op of two quantized tensors with broadcasting. com.microsoft QLinearAdd / QLinearMul.

    op       : "add", "sub" or "mul".
    constant : the second operand as a constant of dtype ``b.dtype``, or None when it is an input.
    """

    kind: ClassVar[str] = "binary"
    op: str
    a: QParams
    b: QParams
    constant: np.ndarray | None
    y: QParams
    clamp: Clamp


@dataclass(frozen=True, eq=False)
class Residual(Region):
    """A convolution or matrix product, and an elementwise op of its output and one more input of the same shape.

    It has no composite function of its own: lowering makes it of two calls (``lowering/join.py``), and its meaning is
    that of one after the other.

    product : its inputs come first; has a ``y``.
    combine : no constant.
    second  : whether the product's output is the second operand of ``combine``, not the first.
    """

    kind: ClassVar[str] = "residual"
    product: Conv | MatMul
    combine: Binary
    second: bool


@dataclass(frozen=True, eq=False)
class Table(Region):
    """Any elementwise function of one quantized tensor, per tensor: ``y = table[x - lowest value of x's dtype]``.

    table : 256 entries of y's dtype, computed at compile time in float64.
    ops   : names of the float ops it stands for, for reports; empty for a requantize.
    """

    kind: ClassVar[str] = "table"
    x: QParams
    y: QParams
    table: np.ndarray
    ops: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Pool(Region):
    """Max or average pooling, x [N, C, *S] -> y [N, C, *T]; "max" keeps x's parameters (y same as x).

    ONNX MaxPool / AveragePool; a global pool has a kernel as large as the input.
    padding : begins then ends; never part of a maximum, part of an average's count only on request.
    """

    kind: ClassVar[str] = "pool"
    op: str
    x: QParams
    y: QParams
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    padding: tuple[int, ...]
    dilations: tuple[int, ...]
    ceil_mode: bool = False
    count_include_pad: bool = False


@dataclass(frozen=True, eq=False)
class Concat(Region):
    """Concatenation along ``axis`` (non-negative) of tensors that may differ in scale. QLinearConcat."""

    kind: ClassVar[str] = "concat"
    xs: tuple[QParams, ...]
    y: QParams
    axis: int


@dataclass(frozen=True, eq=False)
class Softmax(Region):
    """``exp(x) / sum(exp(x))`` along ``axis`` (non-negative). ONNX Softmax, opset 13.

    ``softmax.py`` has its arithmetic in the fixed mode; in the float mode it stays in float, outside of regions.
    """

    kind: ClassVar[str] = "softmax"
    x: QParams
    y: QParams
    axis: int


@dataclass(frozen=True, eq=False)
class ArgMax(Region):
    """Index of the largest value along ``axis`` (non-negative), int64; the first of equal ones. ONNX ArgMax."""

    kind: ClassVar[str] = "argmax"
    x: QParams
    axis: int
    keepdims: bool


@dataclass(frozen=True, eq=False)
class Quantize(Region):
    """float32 -> quantized: ``saturate(round_half_even(x / scale) + zero_point)``. ONNX QuantizeLinear."""

    kind: ClassVar[str] = "quantize"
    y: QParams


@dataclass(frozen=True, eq=False)
class Dequantize(Region):
    """Quantized -> float32: ``(x - zero_point) * scale``. ONNX DequantizeLinear."""

    kind: ClassVar[str] = "dequantize"
    x: QParams
