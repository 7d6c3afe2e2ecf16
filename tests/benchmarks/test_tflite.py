"""Files for LiteRT: copied where they are, converted where there is a converter, and one line otherwise."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from click.testing import CliRunner
from onnx import ModelProto

from benchmarks import tflite
from benchmarks.models.graph import Graph


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tflite, "FOLDER", tmp_path / "tflite")
    return tmp_path / "tflite"


def test_models_of_a_checkout_get_the_names_of_the_onnx_models(folder: Path, tmp_path: Path) -> None:
    for name, path in tflite.TINY.items():
        file = tmp_path / "tiny" / "benchmark" / "training" / path
        file.parent.mkdir(parents=True)
        file.write_text(name)
    result = CliRunner().invoke(tflite.main, ["--tiny", str(tmp_path / "tiny")])
    assert result.exit_code == 0, result.output
    assert {path.name: path.read_text() for path in folder.iterdir()} == {
        "kws_dscnn_int8_qdq.tflite": "kws",
        "ic_resnet8_int8_qdq.tflite": "ic",
        "vww_mobilenetv1_int8_qdq.tflite": "vww",
        "ad_autoencoder_int8_qdq.tflite": "ad",
    }


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "nothing to do"),
        (["--tiny", "nowhere"], "a checkout of github.com/mlcommons/tiny has it"),
        (["--converter", sys.executable, "--models", "bert_tiny"], "cannot convert bert_tiny: ModuleNotFoundError"),
    ],
)
def test_what_is_missing_is_said(folder: Path, arguments: list[str], message: str) -> None:
    result = CliRunner().invoke(tflite.main, arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.split())


def test_padding_of_a_maximum_becomes_an_op_of_its_own() -> None:
    def model() -> ModelProto:
        g = Graph("pool")
        x = g.op("Relu", "relu", g.input("x", (1, 2, 7, 7)))
        return g.model(g.op("MaxPool", "y", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 0, 1, 2]), (1, 2, 4, 4))

    x = np.random.default_rng(0).normal(size=(1, 2, 7, 7)).astype(np.float32)
    before, after = model(), tflite.padded_with_zeros(model())
    assert [node.op_type for node in after.graph.node] == ["Relu", "Pad", "MaxPool"]
    want, have = (
        onnxruntime.InferenceSession(proto.SerializeToString(), providers=["CPUExecutionProvider"]).run(None, {"x": x})
        for proto in (before, after)
    )
    np.testing.assert_array_equal(have[0], want[0])
