"""Inputs to check or time a model with: the user's data, or random values over the quantized range."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..model import TensorSpec
from . import npz

Range = tuple[float, float]
"""Lowest and highest real value that the quantization of an input represents."""

SEED = 0


@dataclass(frozen=True)
class Samples:
    """Inputs for a number of inferences.

    Attributes
    ----------
    arrays : per input, its values for all inferences, stacked along a new first axis.
    labels : the right class per row of the output, shape [len(self) * batch], or None.
    origin : where the values come from, one line for people.
    """

    arrays: Mapping[str, np.ndarray]
    labels: np.ndarray | None
    origin: str

    def __len__(self) -> int:
        return len(next(iter(self.arrays.values())))

    def __iter__(self) -> Iterator[dict[str, np.ndarray]]:
        for index in range(len(self)):
            yield {name: np.asarray(array[index]) for name, array in self.arrays.items()}


def random(inputs: Sequence[TensorSpec], ranges: Mapping[str, Range | None], count: int) -> Samples:
    """Draw inputs: uniform over the quantized range of a float input (standard normal where it has none) and
    over all values of an 8-bit one; 0 and 1 for wider integers, which are often indices, and for bool."""
    generator = np.random.default_rng(SEED)
    arrays = {spec.name: _draw(generator, spec, ranges.get(spec.name), count) for spec in inputs}
    over = " over the quantized range" if any(ranges.values()) else ""
    return Samples(arrays, None, f"random{over}, seed {SEED}")


def read(path: Path, inputs: Sequence[TensorSpec], ranges: Mapping[str, Range | None]) -> Samples:
    """Read samples from an .npz file: one array per input, by its name, or ``images``; and maybe ``labels``.

    An array has the input's shape but for its first axis, which holds any number of samples. ``images`` go to
    the only input; as uint8 for a float input they are pixel values, given as 0..255 where the input's
    quantized range reaches past 100 and as 0..1 (divided by 255) where it ends below 10.

    Raises
    ------
    InputError : the file cannot be read, an array is missing, or its shape, dtype or values do not fit.
    """
    data = npz.read(path)
    labels = data.pop("labels", None)
    origin = path.name
    if "images" in data and len(inputs) == 1 and inputs[0].name not in data:
        images, how = _pixels(data.pop("images"), inputs[0], ranges.get(inputs[0].name), path)
        data[inputs[0].name] = images
        origin += how
    known = {spec.name for spec in inputs}
    for name in data.keys() - known:
        raise InputError(f"the model has no input '{name}'", file=path, hint=f"inputs: {', '.join(sorted(known))}")
    arrays = {}
    for spec in inputs:
        if spec.name not in data:
            raise InputError(f"there is no array '{spec.name}'", file=path, hint="one array per input of the model")
        arrays[spec.name] = _stack(data[spec.name], spec, path)
    if len({len(array) for array in arrays.values()}) != 1:
        raise InputError("the arrays hold different numbers of samples", file=path)
    return Samples(arrays, _labels(labels, arrays, inputs, path), origin)


def _draw(generator: np.random.Generator, spec: TensorSpec, limits: Range | None, count: int) -> np.ndarray:
    shape, dtype = (count, *(int(dim) for dim in spec.shape)), np.dtype(spec.dtype)
    if dtype.kind == "f":
        values = generator.standard_normal(shape) if limits is None else generator.uniform(*limits, shape)
        return values.astype(dtype)
    if dtype.kind in "iu" and dtype.itemsize == 1:
        return generator.integers(np.iinfo(dtype).min, np.iinfo(dtype).max, shape, dtype, endpoint=True)
    return generator.integers(0, 1, shape, endpoint=True).astype(dtype)


def _pixels(images: np.ndarray, spec: TensorSpec, limits: Range | None, path: Path) -> tuple[np.ndarray, str]:
    if images.dtype != np.uint8 or np.dtype(spec.dtype).kind != "f":
        return images, ""
    hint = f"save float arrays under the name '{spec.name}' instead"
    if limits is None:
        raise InputError("uint8 images, and the model does not quantize its input", file=path, hint=hint)
    if limits[1] > 100:
        return images.astype(spec.dtype), ", images as 0..255"
    if limits[1] < 10:
        return (images / np.float32(255)).astype(spec.dtype), ", images / 255"
    reason = f"cannot tell how uint8 images map to the input's range {limits[0]:.3g}..{limits[1]:.3g}"
    raise InputError(reason, file=path, hint=hint)


def _stack(array: np.ndarray, spec: TensorSpec, path: Path) -> np.ndarray:
    if array.dtype != spec.dtype:
        raise InputError(f"dtype is {array.dtype}, the model takes {spec.dtype}", file=path, node=spec.name)
    if spec.shape == ():
        return array.reshape(-1)
    batch, *rest = (int(dim) for dim in spec.shape)
    if array.ndim != len(spec.shape) or list(array.shape[1:]) != rest:
        want = ", ".join(str(dim) for dim in ["N", *rest])
        raise InputError(f"shape is {list(array.shape)}, the model takes [{want}]", file=path, node=spec.name)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise InputError("holds NaN or infinite values", file=path, node=spec.name)
    count = len(array) // batch
    if count == 0:
        raise InputError(f"holds {len(array)} rows, one inference takes {batch}", file=path, node=spec.name)
    return array[: count * batch].reshape(count, batch, *rest)


def _labels(
    labels: np.ndarray | None, arrays: Mapping[str, np.ndarray], inputs: Sequence[TensorSpec], path: Path
) -> np.ndarray | None:
    if labels is None:
        return None
    array = arrays[inputs[0].name]
    rows = len(array) * (array.shape[1] if array.ndim > 1 else 1)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or len(labels) < rows:
        raise InputError(f"labels must be {rows} integers", file=path)
    return labels[:rows]
