"""Inputs that are given a value once and for all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx import numpy_helper

from ..errors import InputError
from .fold import add_constant


def arrays(model: ir.Model, given: Mapping[str, Any], shapes: Mapping[str, Sequence[int]]) -> dict[str, np.ndarray]:
    """The values ``given`` to inputs, as arrays of the inputs' types; a single number is all elements of an input whose
    shape is known, from the model or from ``shapes``.

    InputError: no such input, or a value that the input cannot have.
    """
    inputs = {str(value.name): value for value in model.graph.inputs}
    found = {}
    for name, value in given.items():
        if name not in inputs:
            raise InputError(f"there is no input '{name}'; the inputs are {', '.join(inputs)}")
        shape = shapes.get(name, inputs[name].shape)
        found[name] = _array(name, value, inputs[name].dtype, None if shape is None else list(shape))
    return found


def _array(name: str, given: Any, dtype: ir.DataType | None, shape: list[Any] | None) -> np.ndarray:
    array = np.asarray(given)
    if dtype is None or dtype == ir.DataType.STRING or array.dtype.kind not in "biuf":
        raise InputError(f"input '{name}' is {dtype}, it cannot be {array.dtype} {given!r}")
    with np.errstate(all="ignore"):
        typed = array.astype(dtype.numpy())
    if (
        array.dtype != typed.dtype
        and typed.dtype.kind in "biu"
        and not np.array_equal(typed.astype(array.dtype), array)
    ):
        raise InputError(f"input '{name}' is {dtype}, it cannot be {given!r}")
    if array.ndim or not shape:
        return typed
    if not all(isinstance(dim, int) for dim in shape):
        raise InputError(f"input '{name}' has unknown dimensions, one number is not enough", hint="give its shape, too")
    return np.full(shape, typed)


def fix(model: ir.Model, values: Mapping[str, np.ndarray]) -> None:
    """Turn the inputs named in ``values`` into constants."""
    graph = model.graph
    for value in [value for value in graph.inputs if value.name in values]:
        graph.inputs.remove(value)
        name, value.name = str(value.name), None
        value.replace_all_uses_with(add_constant(graph, values[name], name), replace_graph_outputs=True)


def fixed(proto: onnx.ModelProto, values: Mapping[str, np.ndarray]) -> onnx.ModelProto:
    """A copy of a model in which the inputs named in ``values`` are initializers."""
    copy = onnx.ModelProto()
    copy.CopyFrom(proto)
    left = [value for value in proto.graph.input if value.name not in values]
    del copy.graph.input[:]
    copy.graph.input.extend(left)
    copy.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in values.items())
    return copy
