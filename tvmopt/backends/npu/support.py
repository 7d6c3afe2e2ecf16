"""What an Ethos-U takes, asked before Vela is: TOSA input has no way back to the CPU there.

Vela 5.2.0 rewrites what exceeds the registers of an NPU (kernels, batches, ranks) into several commands. What it
cannot rewrite is in ``LIMITS``; the rest of this file is what a TOSA graph cannot express. Operators that only an
Ethos-U85 has (INTDIV, REDUCE_MAX of int32) are in no graph: softmax, which grouping limits to 1024 elements, is made
of others (``quant/softmax.py``), so every family takes it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...quant.reference import counts, multiplier
from ...quant.regions import ArgMax, Binary, Concat, Conv, MatMul, Pool, Softmax, Table
from ...quant.subgraphs import Op
from ...target import EthosU
from . import moves
from .contractions import by_group, centered, in_plane, taken
from .elementwise import summed


@dataclass(frozen=True)
class Limits:
    """Largest values that a family takes; None where there is no limit.

    conv_stride       : of convolutions, per axis.
    transposed_stride : of transposed convolutions, per axis; the same along both axes, unless image and kernel are a
                        single row or column.
    padded_average    : kernel of an average over windows that reach into padding, per axis.
    resize_factors    : of nearest-neighbour resizing.
    argmax            : elements that are compared.
    source            : where this is from.
    """

    conv_stride: int | None
    transposed_stride: int | None
    padded_average: int | None
    resize_factors: tuple[int, ...] | None
    argmax: int | None
    source: str


_U55 = Limits(3, 2, 8, (2, 4, 8), 127, "Vela's SUPPORTED_OPS.md; each limit tried with Vela 5.2.0, on either side")
LIMITS = {
    "ethos-u55": _U55,
    "ethos-u65": _U55,
    "ethos-u85": Limits(None, None, None, None, None, "tried with Vela 5.2.0"),
}


def supports(accelerator: EthosU) -> Callable[[Op], str | None]:
    """For ``partition``: why an NPU does not take an op, or None."""
    limits = LIMITS[accelerator.family]
    return lambda op: unfit(op, limits)


def unfit(op: Op, limits: Limits) -> str | None:
    """Why an NPU with these limits does not take an op between 8-bit tensors, or None."""
    region = op.region
    if region is None:
        reason = moves.unfit(op)
        return reason or _resize(op, limits)
    if region.requantize != "fixed" and not isinstance(region, (Table, Concat, ArgMax)):
        return "its arithmetic is float, an NPU's is fixed point"
    match region:
        case Conv():
            return _conv(region, op, limits)
        case MatMul():
            return _matmul(region, op)
        case Pool():
            return _pool(region, op, limits)
        case Binary():
            return _binary(region)
        case ArgMax():
            return _argmax(op.inputs[0][region.axis], limits.argmax)
        case Softmax() | Table() | Concat():
            return None
    return f"a region of kind {region.kind} has no TOSA form"


def _conv(region: Conv, op: Op, limits: Limits) -> str | None:
    if region.border is not None:
        return "constants are added to its sums that differ from place to place"
    if region.transposed and any(dilation != 1 for dilation in region.dilations):
        return "TOSA has no transposed convolution with dilation"
    if region.transposed:
        reason = _transposed_stride(region, op, limits.transposed_stride)
    else:
        reason = _stride(max(taken(region.strides, op.output)), limits.conv_stride)
    return reason or next(filter(None, map(_one_group, by_group(region))), None)


def _transposed_stride(region: Conv, op: Op, most: int | None) -> str | None:
    if most is None or max(region.strides) > most:
        return _stride(max(region.strides), most)
    strides = in_plane(region.strides, 1)
    along = strides.index(min(strides))
    single = all(in_plane(sizes, 1)[along] == 1 for sizes in (op.inputs[0][2:], region.weight.shape[2:]))
    if strides[0] != strides[1] and not single:
        return f"its strides are {strides[0]} and {strides[1]}, only the same along both axes are supported"
    return None


def _one_group(region: Conv) -> str | None:
    weight = centered(region.weight, region.w)
    outputs = 1 if region.transposed else 0
    others = tuple(axis for axis in range(weight.ndim) if axis != outputs)
    return _weight(weight) or _sums(region, np.abs(weight).sum(others))


def _matmul(region: MatMul, op: Op) -> str | None:
    if region.a is None:
        return "its input's scale is computed at run time"
    if region.weight is not None:
        weight = centered(region.weight, region.b)
        return _weight(weight) or _sums(region, np.abs(weight).sum(0))
    left, right = op.inputs
    if left[:-2] != right[:-2] and int(np.prod(left[:-2])) != int(np.prod(right[:-2])):
        return "TOSA has no product of matrices in batches of different sizes"
    return _sums(region, np.full(op.output[-1], 255 * left[-1]))


def _weight(centered: np.ndarray) -> str | None:
    if centered.min(initial=0) < -128 or centered.max(initial=0) > 127:
        return "its weights minus their zero point do not fit 8 bits"
    return None


def _sums(region: Conv | MatMul, weights: np.ndarray) -> str | None:
    """weights : sum of the magnitudes that an input meets, per output channel."""
    assert region.y is not None
    x, w = (region.x, region.w) if isinstance(region, Conv) else (region.a, region.b)
    assert x is not None
    bias = np.zeros(1) if region.bias is None else np.abs(region.bias.astype(np.float64))
    largest = 255.0 * weights + bias
    if largest.max(initial=0) >= 2**31 or (largest * multiplier(x, w, region.y)).max(initial=0) >= 2**31:
        return "its sums may not fit 32 bits"
    return None


def _pool(region: Pool, op: Op, limits: Limits) -> str | None:
    if len(region.kernel) > 2:
        return "TOSA pools in two dimensions"
    if any(dilation != 1 for dilation in region.dilations):
        return "TOSA has no pooling with dilation"
    if any(pad >= size for pad, size in zip(region.padding, region.kernel * 2, strict=True)):
        return "its padding is as large as its kernel"
    if region.op == "max":
        return None
    same = counts(region, op.inputs[0], op.output).size == 1
    if summed(region):
        if not same:
            return "its windows average different numbers of elements, to another scale"
        return _stride(max(taken(region.strides, op.output)), limits.conv_stride)
    if not same and limits.padded_average is not None and max(region.kernel) > limits.padded_average:
        return f"its kernel is {max(region.kernel)} wide and reaches into padding, at most {limits.padded_average} may"
    return None


def _stride(stride: int, most: int | None) -> str | None:
    if most is None or stride <= most:
        return None
    return f"its stride is {stride}, at most {most} is supported"


def _binary(region: Binary) -> str | None:
    if region.op == "mul":
        factor = float(region.a.scale) * float(region.b.scale) / float(region.y.scale)
        return "its products may not fit 32 bits" if factor * 255**2 >= 2**31 else None
    factor = 255 * (float(region.a.scale) + float(region.b.scale)) / float(region.y.scale)
    return "its sums may not fit 32 bits" if factor >= 2**31 else None


def _argmax(size: int, most: int | None) -> str | None:
    return None if most is None or size <= most else f"it compares {size} elements, at most {most} are supported"


def _resize(op: Op, limits: Limits) -> str | None:
    if op.call.op.name != "relax.image.resize2d" or limits.resize_factors is None:
        return None
    factors = [new // old for new, old in zip(op.output[2:], op.inputs[0][2:], strict=True)]
    if factors[0] == factors[1] and factors[0] in (1, *limits.resize_factors):
        return None
    return f"it resizes by {factors[0]} x {factors[1]}, not by {', '.join(map(str, limits.resize_factors))}"
