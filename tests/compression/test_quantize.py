"""Models are prepared and quantized as ONNX Runtime does it, quietly, and the input model stays as it was."""

from __future__ import annotations

import logging

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime import quantization

from tvmopt.compression.quantize import prepare, quantize
from tvmopt.errors import UnsupportedError
from tvmopt.peers.onnxruntime import Session

from ..report.models import Graph, residual

SAMPLES = [{"x": x} for x in np.random.default_rng(1).standard_normal((8, 1, 3, 6, 6)).astype(np.float32)]


def network(opset: int = 17) -> onnx.ModelProto:
    """x [1, 3, 6, 6] -> Conv, BatchNormalization, Relu, Conv -> y; all channels of the first Conv but two are dead."""
    generator = np.random.default_rng(0)
    graph = Graph()

    def constant(*shape: int) -> str:
        return graph.constant(generator.uniform(0.2, 1, shape).astype(np.float32))

    weight = generator.standard_normal((8, 3, 3, 3)).astype(np.float32)
    weight[2:] = 0
    y = graph.node("Conv", "x", graph.constant(weight))
    y = graph.node("Relu", graph.node("BatchNormalization", y, *(constant(8) for _ in range(4))))
    y = graph.node("Conv", y, constant(4, 8, 1, 1), constant(4))
    model = graph.model([1, 3, 6, 6], [y])
    del model.graph.output[:], model.opset_import[:]
    model.graph.output.append(helper.make_tensor_value_info(y, TensorProto.FLOAT, [1, 4, 4, 4]))
    model.opset_import.append(helper.make_opsetid("", opset))
    return model


@pytest.mark.parametrize("opset", [11, 17])
def test_batch_norm_is_folded(opset: int) -> None:
    model = network(opset)
    before = model.SerializeToString()
    prepared = prepare(model)
    assert model.SerializeToString() == before
    assert [node.op_type for node in prepared.graph.node] == ["Conv", "Relu", "Conv"]
    for feeds in SAMPLES:
        (ours,), (theirs,) = (list(Session(one).run(feeds).values()) for one in (prepared, model))
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("activations", ["int8", "uint8"])
def test_weights_are_int8_per_channel(activations: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        quantized = quantize(prepare(network()), activations, SAMPLES)  # type: ignore[arg-type]
    assert not caplog.records
    onnx.checker.check_model(quantized, full_check=True)
    arrays = {tensor.name: numpy_helper.to_array(tensor) for tensor in quantized.graph.initializer}
    convs = [node for node in quantized.graph.node if node.op_type == "Conv"]
    producers = {output: node for node in quantized.graph.node for output in node.output}
    for conv, channels in zip(convs, (8, 4), strict=True):
        weight, scale, zero_point = (arrays[name] for name in producers[conv.input[1]].input)
        assert (weight.dtype, scale.shape) == (np.int8, (channels,))
        assert not zero_point.any()
        assert producers[conv.input[0]].op_type == "DequantizeLinear"
        assert arrays[producers[conv.input[0]].input[2]].dtype == activations
    first = arrays[producers[convs[0].input[1]].input[0]]
    assert not first[2:].any()
    for feeds in SAMPLES:
        (ours,), (theirs,) = (list(Session(one).run(feeds).values()) for one in (quantized, network()))
        assert np.abs(ours - theirs).max() < 0.05 * np.abs(theirs).max()


def test_a_quantized_model_is_refused() -> None:
    with pytest.raises(UnsupportedError, match="quantized already"):
        prepare(residual())


def test_what_onnx_runtime_does_not_take_is_refused(capfd: pytest.CaptureFixture[str]) -> None:
    model = network()
    model.graph.node[0].op_type = "Nonsense"
    with pytest.raises(UnsupportedError, match="ONNX Runtime refuses"):
        prepare(model)
    assert capfd.readouterr() == ("", "")


def test_what_its_quantizer_fails_on_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **kwargs: object) -> None:
        raise ValueError("ambiguous\nsecond line")

    monkeypatch.setattr(quantization, "quantize_static", fail)
    with pytest.raises(UnsupportedError, match=r"quantizer fails on it: ValueError: ambiguous$"):
        quantize(prepare(network()), "int8", SAMPLES)
