"""What a model may be given: every input by name, of the right shape and dtype."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..model import TensorSpec


def checked(
    inputs: Mapping[str, Any], specs: Sequence[TensorSpec], read: Callable[[Any], Any] = np.asarray
) -> list[Any]:
    """The arrays of ``inputs`` in the order of ``specs``. A symbolic dimension has one size wherever it appears.

    read : makes an array of what is given, or raises ValueError.

    Raises InputError for a missing or unknown name, a wrong shape or a wrong dtype.
    """
    known = [spec.name for spec in specs]
    for name in inputs.keys() - set(known):
        raise InputError("is not an input of this model", node=name, hint=f"inputs: {', '.join(known)}")
    sizes: dict[str, int] = {}
    return [_checked(inputs, spec, sizes, read) for spec in specs]


def _checked(inputs: Mapping[str, Any], spec: TensorSpec, sizes: dict[str, int], read: Callable[[Any], Any]) -> Any:
    if spec.name not in inputs:
        raise InputError("no value was given for this input", node=spec.name)
    try:
        array = read(inputs[spec.name])
    except ValueError as error:
        raise InputError(str(error), node=spec.name) from None
    if str(array.dtype) != spec.dtype:
        raise InputError(f"has dtype {array.dtype}, not {spec.dtype}", node=spec.name)
    if array.ndim == len(spec.shape):
        for size, dim in zip(array.shape, spec.shape, strict=True):
            if isinstance(dim, str):
                sizes.setdefault(dim, size)
    shape = [sizes.get(dim, dim) if isinstance(dim, str) else dim for dim in spec.shape]
    if list(array.shape) != shape:
        raise InputError(f"has shape {list(array.shape)}, not {shape}", node=spec.name)
    return array
