"""The integer reference against ONNX Runtime's integer kernels, on every pair of operands."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from tvmopt.quant import reference
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Binary

scales = st.floats(2**-10, 8, width=32)
zero_points = st.integers(0, 255)


def onnxruntime_binary(op: str, a: np.ndarray, b: np.ndarray, params: list[QParams]) -> np.ndarray:
    """com.microsoft QLinearAdd or QLinearMul."""
    kind = helper.np_dtype_to_tensor_dtype(a.dtype)
    values = [helper.make_tensor_value_info(name, kind, a.shape) for name in "aby"]
    constants = [
        numpy_helper.from_array(array, f"{name}_{part}")
        for name, p in zip("aby", params, strict=True)
        for part, array in (("scale", p.scale), ("zero_point", p.zero_point))
    ]
    names = ["a", "a_scale", "a_zero_point", "b", "b_scale", "b_zero_point", "y_scale", "y_zero_point"]
    node = helper.make_node(f"QLinear{op.capitalize()}", names, ["y"], domain="com.microsoft")
    graph = helper.make_graph([node], "binary", values[:2], values[2:], constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (y,) = session.run(None, {"a": a, "b": b})
    return y


@pytest.mark.parametrize("op", ["add", "mul"])
@pytest.mark.parametrize("dtype", ["uint8", "int8"])
@settings(max_examples=100, deadline=None)
@given(scale=st.tuples(scales, scales, scales), zero=st.tuples(zero_points, zero_points, zero_points))
def test_binary_ops_are_those_of_onnxruntime(
    op: str, dtype: str, scale: tuple[float, ...], zero: tuple[int, ...]
) -> None:
    low = np.iinfo(dtype).min
    pa, pb, py = (QParams.per_tensor(s, z + low, dtype) for s, z in zip(scale, zero, strict=True))
    values = np.arange(low, low + 256, dtype=dtype)
    a, b = (part.ravel() for part in np.meshgrid(values, values))
    region = Binary(op, pa, pb, None, py, py.range)
    np.testing.assert_array_equal(reference.run(region, a, b), onnxruntime_binary(op, a, b, [pa, pb, py]))
