"""Whatever is wrong with the call, the model or its data: one line on stderr that names it, exit code 2."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from tvmopt import api
from tvmopt.cli import main
from tvmopt.errors import InternalError, ModelError

from ..report.models import residual
from .bad_models import CHANGES, write


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [str(argument) for argument in arguments])


def refused(result: Result, *says: str) -> None:
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert result.stderr.startswith("tvmopt: ")
    assert result.stderr.count("\n") == 1
    for text in says:
        assert text in result.stderr


@pytest.fixture
def model(tmp_path: Path) -> Path:
    onnx.save(residual(), tmp_path / "model.onnx")
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("name", CHANGES)
def test_a_bad_model_is_refused(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, name)
    refused(invoke("compile", path, "-o", tmp_path / "out.so"), str(path), CHANGES[name][1])
    assert not (tmp_path / "out.so").exists()


@pytest.mark.parametrize(
    ("data", "says"),
    [(b"", "the file is empty"), (b"MZ not a model", "not an ONNX model"), (None, "No such file or directory")],
)
@pytest.mark.parametrize("command", [["inspect"], ["verify"], ["bench"], ["compile", "-o", "out.so"]])
def test_a_file_that_is_no_model_is_refused(
    tmp_path: Path, command: Sequence[str], data: bytes | None, says: str
) -> None:
    path = tmp_path / "model.onnx"
    if data is not None:
        path.write_bytes(data)
    refused(invoke(command[0], path, *command[1:]), str(path), says)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_truncated_file_is_refused(model: Path, share: float) -> None:
    data = model.read_bytes()
    model.write_bytes(data[: int(len(data) * share)])
    refused(invoke("inspect", model), str(model))


def test_a_symbolic_dimension_has_to_be_bound(tmp_path: Path) -> None:
    proto = residual()
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"
    onnx.save(proto, tmp_path / "model.onnx")
    for command in (["compile", "-o", tmp_path / "out.so"], ["verify"], ["bench"]):
        refused(invoke(command[0], tmp_path / "model.onnx", *command[1:]), "x", "--shape x=1,3,6,6")


def test_an_unknown_target_lists_near_ones(model: Path, tmp_path: Path) -> None:
    for command in (["compile", "-o", tmp_path / "out.so"], ["verify"], ["bench"]):
        refused(invoke(command[0], model, *command[1:], "-t", "x86/cascade"), "x86/cascade", "x86/cascadelake")
    refused(invoke("targets", "x86/cascade"), "x86/cascadelake")


def test_data_that_does_not_fit_is_refused(model: Path, tmp_path: Path) -> None:
    data = tmp_path / "data.npz"
    np.savez(data, x=np.zeros((4, 3, 5, 5), np.float32))
    refused(invoke("verify", model, "--data", data), str(data), "shape is [4, 3, 5, 5], the model takes [N, 3, 6, 6]")
    refused(invoke("verify", model, "--data", tmp_path / "nowhere.npz"), "nowhere.npz: cannot be read")


@pytest.mark.parametrize("constant", ["x", "x=", "=1,2", "x=1,a", "x=1,,2", "x=on"])
def test_a_malformed_constant_is_a_usage_error(model: Path, constant: str) -> None:
    result = invoke("inspect", model, "--constant", constant)
    assert result.exit_code == 2
    assert f"'{constant}' is not of the form rate=16000, flag=true or scales=1,1,2,2" in result.stderr


@pytest.mark.parametrize("shape", ["x", "x=", "=1,2", "x=1,a", "x=1,0", "x=1,-2"])
def test_a_malformed_shape_is_a_usage_error(model: Path, shape: str) -> None:
    result = invoke("inspect", model, "--shape", shape)
    assert result.exit_code == 2
    assert f"'{shape}' is not of the form input=1,3,224,224" in result.stderr


def test_an_unknown_runtime_is_a_usage_error(model: Path) -> None:
    result = invoke("bench", model, "--vs", "onnxruntime,nobody")
    assert result.exit_code == 2
    assert "'nobody' is not one of onnxruntime, tvm" in result.stderr


def test_a_bug_is_an_internal_error_that_names_stage_and_file(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: object) -> None:
        raise ValueError("boom\nat line 3 of something.cc")

    monkeypatch.setattr("tvmopt.report.inspect.inspect", broken)
    result = invoke("inspect", model)
    assert result.exit_code == 1
    assert result.stderr == (
        f"tvmopt: {model}: internal error while inspecting: ValueError: boom (tvmopt --debug ... shows the traceback)\n"
    )
    with pytest.raises(InternalError) as caught:
        api.inspect(model)
    assert isinstance(caught.value.__cause__, ValueError)


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    for how in (["--debug"], []):
        result = CliRunner().invoke(
            main, [*how, "inspect", str(tmp_path / "no.onnx")], env={} if how else {"TVMOPT_DEBUG": "1"}
        )
        assert isinstance(result.exception, ModelError)


def test_an_interrupt_exits_with_130(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(api, "load", interrupted)
    assert invoke("inspect", model).exit_code == 130


def test_a_process_prints_one_line_and_no_traceback(tmp_path: Path) -> None:
    path = write(tmp_path, "bad attribute")
    done = subprocess.run(
        [sys.executable, "-m", "tvmopt", "inspect", str(path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"tvmopt: {path}: node 'Conv_3': ")
    assert done.stderr.count("\n") == 1
