"""The bundled model is what its record says: accurate, int8, and pruned by whole channels."""

from __future__ import annotations

import json

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper
from sklearn.datasets import load_digits

from tvmopt import demo

RECORD = json.loads(demo.RECORD.read_text())


@pytest.fixture(scope="module")
def held_out() -> tuple[np.ndarray, np.ndarray]:
    with np.load(demo.HELD_OUT) as data:
        return data["input"], data["labels"]


def constants(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@pytest.mark.parametrize("form", ["float", "int8"])
def test_accuracy_is_the_recorded_one(form: str, held_out: tuple[np.ndarray, np.ndarray]) -> None:
    session = onnxruntime.InferenceSession(demo.INT8_MODEL if form == "int8" else demo.FLOAT_MODEL)
    images, labels = held_out
    logits = [session.run(None, {"input": image[None]})[0][0] for image in images]
    # One image of slack: ONNX Runtime's float kernels differ between CPUs.
    right = int(np.sum(np.argmax(logits, axis=1) == labels))
    assert abs(right - round(RECORD[f"{form}_accuracy"] * len(labels))) <= 1


def test_held_out_data_is_scikit_learns(held_out: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = held_out
    assert (images.dtype, images.shape) == (np.float32, (RECORD["held_out"], 1, 8, 8))
    digits = load_digits()
    known = set(zip((image.astype(np.float32).tobytes() for image in digits.images), digits.target, strict=True))
    found = {(image.tobytes(), label) for image, label in zip(images, labels, strict=True)}
    assert len(found) == len(images)  # no image twice
    assert found <= known


def test_channels_are_dead_but_not_silent() -> None:
    """Pruned channels have zero weights in both forms; some keep a positive bias, so folding has work to do."""
    model = onnx.load(demo.INT8_MODEL)
    int8, floats = constants(model), constants(onnx.load(demo.FLOAT_MODEL))
    biased = False
    for block, count in RECORD["dead_channels"].items():
        weight = int8[f"{block}.conv.weight_quantized"]
        assert weight.dtype == np.int8
        dead = ~weight.reshape(len(weight), -1).any(axis=1)
        assert dead.sum() == count > 0
        np.testing.assert_array_equal(dead, ~floats[f"{block}.conv.weight"].reshape(len(weight), -1).any(axis=1))
        biased = biased or (int8[f"{block}.conv.bias_quantized"][dead] > 0).any()
    assert biased


def test_int8_form() -> None:
    """QDQ, s8 activations with zero points, s8 weights per channel, and every kind of layer it was built for."""
    model = onnx.load(demo.INT8_MODEL)
    onnx.checker.check_model(model, full_check=True)
    operators = {node.op_type for node in model.graph.node}
    assert operators == {
        *("QuantizeLinear", "DequantizeLinear", "Conv", "Add", "MaxPool", "AveragePool", "Reshape", "Gemm")
    }
    values = constants(model)
    zero_points = {values[node.input[2]].item() for node in model.graph.node if node.op_type == "QuantizeLinear"}
    assert len(zero_points - {-128, 0}) >= 2
    assert values["inner.conv.weight_scale"].shape == (32,)


def test_size() -> None:
    assert max(path.stat().st_size for path in (demo.INT8_MODEL, demo.FLOAT_MODEL, demo.HELD_OUT)) < 200_000
