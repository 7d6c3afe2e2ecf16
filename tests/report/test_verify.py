"""The comparison itself: it finds what differs, where, and by how much. ONNX Runtime stands in for the artifact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest

from tvmopt.errors import UnsupportedError
from tvmopt.model import TensorSpec
from tvmopt.peers import Feeds
from tvmopt.peers.onnxruntime import Session
from tvmopt.report import samples, verify

from .models import Graph, residual

Spoil = Callable[[dict[str, np.ndarray]], None]
SPECS = [TensorSpec("x", (1, 3, 6, 6), "float32")]


class Spoilt:
    """ONNX Runtime, with its outputs changed by a function."""

    def __init__(self, model: onnx.ModelProto, spoil: Spoil) -> None:
        self.session, self.spoil = Session(model, integer=True), spoil

    def run(self, inputs: Feeds) -> dict[str, np.ndarray]:
        outputs = {name: array.copy() for name, array in self.session.run(inputs).items()}
        self.spoil(outputs)
        return outputs


def compare(
    folder: Path, model: onnx.ModelProto, data: samples.Samples, layer: Spoil = id, end_to_end: Spoil = id
) -> verify.Verification:
    path = folder / "model.onnx"
    onnx.save(model, path)
    return verify.run(path, "test", lambda proto: Spoilt(proto, layer), Spoilt(model, end_to_end), data, 3)


@pytest.fixture
def data() -> samples.Samples:
    return samples.random(SPECS, {"x": (-2.6, 2.5)}, 5)


def test_equal_is_exact(tmp_path: Path, data: samples.Samples) -> None:
    found = compare(tmp_path, residual(), data)
    assert [(layer.name, layer.op) for layer in found.layers][1:3] == [("q1", "Conv+Relu"), ("q2", "Conv")]
    assert (found.samples, found.layer_samples) == (5, 3)
    assert (found.max_lsb, found.mean_lsb, found.exact_ops, found.first_difference) == (0, 0, 5, None)
    assert (found.top1_agreement, found.accuracy, found.reference_accuracy) == (1, None, None)
    assert [layer.elements for layer in found.layers] == [3 * 108, 3 * 288, 3 * 288, 3 * 288, 3 * 4]
    assert [output.max_lsb for output in found.outputs] == [0, None]


def test_differences_are_counted_where_they_are(tmp_path: Path, data: samples.Samples) -> None:
    def spoil(outputs: dict[str, np.ndarray]) -> None:
        for name, step in (("q3", 1), ("q2", -3)):
            outputs[name].flat[5] = np.clip(int(outputs[name].flat[5]) + step, -128, 127)
            outputs[name].flat[6] = outputs[name].flat[6] ^ 1

    found = compare(tmp_path, residual(), data, layer=spoil)
    by_name = {layer.name: layer for layer in found.layers}
    assert found.exact_ops == 3
    assert found.first_difference == "q2"
    assert found.max_lsb == by_name["q2"].max_lsb == 3
    assert (by_name["q2"].mismatches, by_name["q3"].mismatches) == (6, 6)
    assert by_name["q2"].mean_lsb == pytest.approx(3 * (3 + 1) / (3 * 288))
    assert found.mean_lsb == pytest.approx(3 * (3 + 1 + 1 + 1) / sum(layer.elements for layer in found.layers))


def test_signed_differences_do_not_wrap(tmp_path: Path, data: samples.Samples) -> None:
    def spoil(outputs: dict[str, np.ndarray]) -> None:
        outputs["q2"][:] = np.where(outputs["q2"] < 0, 127, -128)

    found = compare(tmp_path, residual(), data, layer=spoil)
    assert found.max_lsb is not None
    assert found.max_lsb > 127


def test_end_to_end_differences_are_in_the_outputs_own_units(tmp_path: Path, data: samples.Samples) -> None:
    model = residual()
    logits = model.graph.output[0].name

    def spoil(outputs: dict[str, np.ndarray]) -> None:
        outputs[logits] += np.float32(0.6)  # two steps of 0.3
        outputs["y"][0, 1] = np.nan

    found = compare(tmp_path, model, data, end_to_end=spoil)
    assert found.exact_ops == 5
    assert found.outputs[0].max_lsb == pytest.approx(2, rel=1e-5)
    assert found.outputs[1].max_abs == np.inf


def test_agreement_and_accuracy(tmp_path: Path, data: samples.Samples) -> None:
    model = residual()
    logits = model.graph.output[0].name
    session = Session(model, integer=True)
    best = np.concatenate([session.run(feeds)[logits].argmax(-1) for feeds in data])
    labels = best.copy()
    labels[0] = (labels[0] + 1) % 4
    calls = []

    def spoil(outputs: dict[str, np.ndarray]) -> None:
        calls.append(None)
        if len(calls) == 2:
            outputs[logits][:] = -outputs[logits]

    found = compare(tmp_path, model, samples.Samples(data.arrays, labels, "labelled"), end_to_end=spoil)
    assert found.top1_agreement == pytest.approx(4 / 5)
    assert found.accuracy == pytest.approx(3 / 5)
    assert found.reference_accuracy == pytest.approx(4 / 5)
    assert found.data == "labelled"


def test_a_float_model_has_no_layers(tmp_path: Path, data: samples.Samples) -> None:
    graph = Graph()
    found = compare(tmp_path, graph.model([1, 3, 6, 6], [graph.node("Relu", "x", out="y")]), data)
    assert (found.layers, found.layer_samples, found.max_lsb, found.mean_lsb, found.exact_ops) == ([], 0, None, None, 0)


def test_a_model_that_onnxruntime_refuses_cannot_be_compared(tmp_path: Path, data: samples.Samples) -> None:
    model = residual()
    path = tmp_path / "model.onnx"
    model.graph.node[-1].domain = "nobody"
    onnx.save(model, path)
    with pytest.raises(UnsupportedError, match=r"model\.onnx: ONNX Runtime refuses the model"):
        verify.run(path, "test", lambda proto: None, Spoilt(residual(), id), data, 1)  # type: ignore[arg-type, return-value]
