"""Resize and Upsample: which elements a result is made of is known when compiling, as sizes are.

Source: ONNX operators Resize-10 to -19 and Upsample-7, -9. Places are computed in float32, as in ONNX Runtime.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from tvm import relax, tirx
from tvm.ir import GenericConst

from ...errors import UnsupportedError
from ...quant.relax_form.scope import constant
from .call import Call, Converter, cast, dtype_of, shape_of

F = np.float32

_Parts = tuple[np.ndarray, np.ndarray | None]
"""Elements of x [how many, results] and their weights; None where there is one, which is taken as it is."""


@dataclass(frozen=True)
class _Axis:
    """One axis: its number, how many elements it has and gets, the factor, and what is cropped from it, in shares."""

    number: int
    size: int
    result: int
    scale: float
    crop: tuple[float, float] = (0.0, 1.0)

    def places(self, how: str) -> np.ndarray:
        """Where in x the elements of the result lie (coordinate_transformation_mode)."""
        out, size, scale = np.arange(self.result, dtype=F), F(self.size), F(self.scale)
        start, end = F(self.crop[0]), F(self.crop[1])
        if how == "asymmetric":
            return out / scale
        if how == "pytorch_half_pixel" and self.result == 1:
            return 0 * out
        if how in ("half_pixel", "pytorch_half_pixel"):
            return (out + F(0.5)) / scale - F(0.5)
        if how == "half_pixel_symmetric":
            offset = size / 2 * (1 - F(self.result) / (scale * size))
            return offset + (out + F(0.5)) / scale - F(0.5)
        if how == "align_corners":
            if scale * size != self.result:  # ONNX Runtime and ONNX's own implementation differ
                raise UnsupportedError(
                    "Resize with align_corners and a scale that gives no whole size is not supported"
                )
            return out * (size - 1) / F(max(self.result - 1, 1))
        if how == "tf_crop_and_resize":
            if self.result == 1:
                return F(0.5) * (start + end) * (size - 1) + 0 * out
            return start * (size - 1) + out * (end - start) * (size - 1) / F(self.result - 1)
        raise UnsupportedError(f"Resize with the coordinate transformation '{how}' is not supported")


def _resize(call: Call) -> Any:
    """``sum(take(x, elements[i], axis) * weights[i])`` for each axis: 1, 2 or 4 of them for nearest, linear, cubic.

    Images stay ``image.resize2d`` where this means the same: elements repeated, or interpolated by whole sizes.
    Antialiasing and sizes that depend on data are refused.
    """
    x = call.inputs[0]
    if not all(isinstance(dim, tirx.IntImm) for dim in x.ty.shape):
        return call.stock()
    attributes, old = call.attributes, call.opset <= 10
    mode = attributes.get("mode", b"nearest").decode().replace("bilinear", "linear")
    how = attributes.get("coordinate_transformation_mode", b"asymmetric" if old else b"half_pixel").decode()
    rounding = attributes.get("nearest_mode", b"simple" if old else b"round_prefer_floor").decode()
    beyond = attributes.get("extrapolation_value", 0.0)
    cubic = attributes.get("cubic_coeff_a", -0.75), bool(attributes.get("exclude_outside", 0))
    cropped = how == "tf_crop_and_resize"
    axes = [axis for axis in _axes(call, cropped) if cropped or axis.size != axis.result]
    parts: list[_Parts]
    if mode == "nearest":
        parts = [_nearest(axis, axis.places(how), rounding) for axis in axes]
        repeats = all(np.array_equal(e[0], _repeated(axis)) for axis, (e, _) in zip(axes, parts, strict=True))
        if repeats and not cropped and _is_image(x, axes):
            return _image(x, axes, "nearest_neighbor", "asymmetric", "floor")
    elif "float" not in dtype_of(x):
        raise UnsupportedError(f"Resize of {dtype_of(x)} is supported with mode 'nearest' only")
    elif mode == "linear":
        parts = [_linear(axis, axis.places(how)) for axis in axes]
        if _is_image(x, axes) and how in ("half_pixel", "align_corners", "asymmetric") and all(map(_is_whole, axes)):
            return _image(x, axes, "linear", how, "")
    elif mode == "cubic":
        parts = [_cubic(axis, axis.places(how), *cubic) for axis in axes]
    else:
        raise UnsupportedError(f"Resize with mode '{mode}' is not supported")
    y = x if mode == "nearest" else cast(call, x, "float32")
    for axis, (elements, weights) in zip(axes, parts, strict=True):
        y = _gathered(call, y, axis.number, elements, weights)
    if cropped:
        y = _extrapolated(call, y, axes, beyond)
    return cast(call, y, dtype_of(x))


def _axes(call: Call, cropped: bool) -> list[_Axis]:
    shape, old = shape_of(call.inputs[0]), call.opset <= 10
    numbers = [int(axis) % len(shape) for axis in call.attributes.get("axes", range(len(shape)))]
    before = [shape[number] for number in numbers]
    policy = call.attributes.get("keep_aspect_ratio_policy", b"stretch").decode()
    roi = None if old else _given(call, 1)
    scales = call.attributes.get("scales") if call.opset < 9 else _given(call, 1 if old else 2)
    sizes = None if old else _given(call, 3)
    crops = [(0.0, 1.0)] * len(numbers)
    if cropped and roi is not None:
        crops = list(zip(*np.split(np.float64(roi), 2), strict=True))
    if scales is not None:
        lengths = [end - start for start, end in crops]
        after = [
            math.floor(F(size) * F(length) * F(scale))
            for size, length, scale in zip(before, lengths, scales, strict=True)
        ]
    elif sizes is not None:
        after, scales = _kept(before, [int(size) for size in sizes], policy)
    else:
        raise UnsupportedError(f"{call.node.op_type} needs scales or sizes")
    return [_Axis(*each) for each in zip(numbers, before, after, map(float, scales), crops, strict=True)]


def _kept(before: list[int], after: list[int], policy: str) -> tuple[list[int], list[float]]:
    """Sizes and factors, those of the axes made the same unless the policy is to stretch."""
    scales = [new / old for old, new in zip(before, after, strict=True)]
    if policy == "stretch":
        return after, scales
    scale = min(scales) if policy == "not_larger" else max(scales)
    return [math.floor(scale * old + 0.5) for old in before], [scale] * len(before)


def _given(call: Call, index: int) -> Any:
    """An input that is known when compiling; None where it is left out or empty."""
    value = call.inputs[index]
    if value is None:
        return None
    if isinstance(value, GenericConst):
        return value.value.numpy() if value.value.numpy().size else None
    if isinstance(value, relax.ShapeExpr) and all(isinstance(dim, tirx.IntImm) for dim in value.values):
        return [int(dim) for dim in value.values]
    raise ValueError("its scales or sizes are computed")


def _nearest(axis: _Axis, places: np.ndarray, rounding: str) -> _Parts:
    how: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "round_prefer_floor": lambda at: np.ceil(at - F(0.5)),
        "round_prefer_ceil": lambda at: np.floor(at + F(0.5)),
        "floor": np.floor,
        "ceil": np.ceil,
        "simple": np.ceil if axis.scale < 1 else np.floor,  # before opset 11
    }
    return np.clip(how[rounding](places), 0, axis.size - 1).astype(np.int64)[None], None


def _linear(axis: _Axis, places: np.ndarray) -> _Parts:
    places = np.clip(places, 0, axis.size - 1)
    first = np.floor(places).astype(np.int64)
    share = places - first.astype(F)
    return np.stack([first, np.minimum(first + 1, axis.size - 1)]), np.stack([1 - share, share])


def _cubic(axis: _Axis, places: np.ndarray, a: float, exclude_outside: bool) -> _Parts:
    """Cubic convolution, R. Keys, IEEE Trans. ASSP 29 (1981); a = -0.5 is its own, -0.75 that of most frameworks."""
    first = np.floor(places).astype(np.int64)
    elements = first + np.arange(-1, 3)[:, None]
    d = np.abs(places - elements.astype(F))
    near, far = ((a + 2) * d - (a + 3)) * d * d + 1, ((d - 5) * d + 8) * d * a - 4 * a
    weights = np.where(d <= 1, near, np.where(d < 2, far, 0))
    if exclude_outside:
        weights = np.where((elements >= 0) & (elements < axis.size), weights, 0)
        weights = weights / weights.sum(0)
    return np.clip(elements, 0, axis.size - 1), weights.astype(F)


def _gathered(call: Call, x: Any, axis: int, elements: np.ndarray, weights: np.ndarray | None) -> Any:
    parts = [call.bb.normalize(relax.op.take(x, constant(each), axis)) for each in elements]
    if weights is None:
        return parts[0]
    along = [-1 if number == axis else 1 for number in range(x.ty.ndim)]
    total = None
    for part, weight in zip(parts, weights, strict=True):
        scaled = call.bb.normalize(relax.op.multiply(part, constant(weight.reshape(along))))
        total = scaled if total is None else call.bb.normalize(relax.op.add(total, scaled))
    return total


def _extrapolated(call: Call, y: Any, axes: list[_Axis], value: float) -> Any:
    outside = np.zeros((1,) * y.ty.ndim, bool)
    for axis in axes:
        places = axis.places("tf_crop_and_resize")
        along = [-1 if number == axis.number else 1 for number in range(y.ty.ndim)]
        outside = outside | ((places < 0) | (places > axis.size - 1)).reshape(along)
    if not outside.any():
        return y
    return call.bb.normalize(relax.op.where(constant(outside), relax.const(value, dtype_of(y)), y))


def _repeated(axis: _Axis) -> np.ndarray:
    """What each element's repetition is made of, where the result is a multiple."""
    times = axis.result // axis.size
    return np.arange(axis.result) // times if times * axis.size == axis.result else np.empty(0)


def _is_whole(axis: _Axis) -> bool:
    return bool(F(axis.scale) * F(axis.size) == axis.result)


def _is_image(x: Any, axes: list[_Axis]) -> bool:
    return len(shape_of(x)) == 4 and bool(axes) and all(axis.number >= 2 for axis in axes)


def _image(x: Any, axes: list[_Axis], method: str, how: str, rounding: str) -> Any:
    sizes = {axis.number: axis.result for axis in axes}
    size = [sizes.get(number, shape_of(x)[number]) for number in (2, 3)]
    return relax.op.image.resize2d(
        x, size=relax.ShapeExpr(size), layout="NCHW", method=method, coordinate_transformation_mode=how,
        rounding_method=rounding,
    )  # fmt: skip


CONVERTERS: dict[str, Converter] = {"Resize": _resize, "Upsample": _resize}
