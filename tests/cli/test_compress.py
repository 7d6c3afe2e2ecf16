"""``tvmopt compress``: what it prints, and that what is wrong is one line and exit code 2."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from tvmopt import demo
from tvmopt.cli import main
from tvmopt.compression import Compression

from ..report.models import Graph


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["compress", *(str(argument) for argument in arguments)])


def test_prune_and_quantize(tmp_path: Path) -> None:
    output = tmp_path / "out.onnx"
    arguments = (demo.FLOAT_MODEL, "-o", output, "--prune", "2:4", "--quantize", "int8")
    result = invoke(*arguments, "--calibration", demo.HELD_OUT, "--data", demo.HELD_OUT, "--json")
    assert (result.exit_code, result.stderr) == (0, "")
    found = json.loads(result.stdout)
    assert list(found) == [field.name for field in fields(Compression)]
    assert (found["prune"], found["quantize"], found["output"]) == ("2:4", "int8", str(output))
    assert found["zero_weights_after"] > 0.7 * found["weights"] > found["zero_weights_before"]
    assert found["accuracy_before"] >= found["accuracy_after"] > 0.9
    assert output.stat().st_size == found["bytes_after"] < found["bytes_before"]

    result = invoke(output, "-o", output, "--prune", "channels:0.55", "--data", demo.HELD_OUT)
    assert (result.exit_code, result.stderr) == (0, "")
    for says in ("pruned channels:0.55, quantized nothing", "zeros ", "file bytes", "MACs", "without fine-tuning"):
        assert says in result.stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "there is nothing to do"),
        (["--prune", "channels:1"], "above 0 and below 1"),
        (["--prune", "rows:0.5"], "no pruning pattern 'rows'"),
        (["--quantize", "int8"], "--quantize needs --calibration"),
        (["--calibration", "x.npz"], "--calibration needs --quantize"),
        (["--quantize", "int8", "--calibration", "nowhere.npz"], "nowhere.npz: cannot be read"),
    ],
)
def test_a_wrong_call_is_refused(tmp_path: Path, arguments: list[str], says: str) -> None:
    _refused(invoke(demo.FLOAT_MODEL, "-o", tmp_path / "out.onnx", *arguments), says)
    assert not (tmp_path / "out.onnx").exists()


def test_data_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    data = tmp_path / "data.npz"
    np.savez(data, input=np.zeros((4, 1, 9, 9), np.float32), labels=np.zeros(4, int))
    says = f"{data}: node 'input': shape is [4, 1, 9, 9], the model takes [N, 1, 8, 8]"
    out = tmp_path / "out.onnx"
    _refused(invoke(demo.FLOAT_MODEL, "-o", out, "--quantize", "int8", "--calibration", data), says)
    _refused(invoke(demo.FLOAT_MODEL, "-o", out, "--prune", "2:4", "--data", data), says)


def test_a_model_without_anything_to_prune_is_refused(tmp_path: Path) -> None:
    path, graph = tmp_path / "relu.onnx", Graph()
    onnx.save(graph.model([1, 4], [graph.node("Relu", "x")]), path)
    _refused(invoke(path, "-o", tmp_path / "out.onnx", "--prune", "2:4"), f"{path}: nothing to prune")


def test_an_output_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    for output in (tmp_path / "nowhere" / "out.onnx", tmp_path):
        _refused(invoke(demo.INT8_MODEL, "-o", output, "--prune", "2:4"), f"{output}: cannot be written")


def _refused(result: Result, says: str) -> None:
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith("tvmopt: ")
    assert result.stderr.count("\n") == 1
    assert says in result.stderr
