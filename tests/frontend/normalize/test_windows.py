"""Paddings in words against ONNX Runtime."""

import numpy as np
import pytest

from tests.frontend.runs import compare, model


@pytest.mark.parametrize("mode", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("op", ["Conv", "MaxPool", "AveragePool", "AveragePool<count_include_pad=1>"])
def test_auto_pad(op, mode, stride):
    name, _, given = op.partition("<")
    attributes = f"auto_pad='{mode}', strides=[{stride},{stride}]".replace("'", '"')
    attributes += (", " + given.rstrip(">")) if given else ""
    w = np.random.default_rng(0).normal(size=(2, 3, 2, 3)).astype(np.float32)
    call = f"Conv<{attributes}>(x, w)" if name == "Conv" else f"{name}<{attributes}, kernel_shape=[2,3]>(x)"
    body = f"g (float[1,3,8,7] x) => (float[1,C,H,W] y) {{ y = {call} }}"
    loaded = compare(model(body, {"w": w} if name == "Conv" else None))
    assert "nn.pad" not in str(loaded.mod)


@pytest.mark.parametrize(
    "given", ["output_shape=[10,8]", "output_shape=[8,6]", 'output_shape=[8,5], auto_pad="SAME_UPPER"']
)
def test_conv_transpose_with_an_output_shape(given):
    w = np.random.default_rng(0).normal(size=(1, 2, 3, 3)).astype(np.float32)
    shape = given.split("[")[1].split("]")[0]
    body = f"""g (float[1,1,3,3] x) => (float[1,2,{shape}] y) {{
        y = ConvTranspose<strides=[3,2], {given}>(x, w)
    }}"""
    compare(model(body, {"w": w}))
