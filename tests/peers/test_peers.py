"""Other runtimes: they run what they can, and say what they cannot."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from tvmopt import peers

FEEDS = {"x": np.arange(6, dtype=np.float32).reshape(2, 3)}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save(tmp_path, helper.make_node("Relu", ["x"], ["y"]))


def save(folder: Path, node: onnx.NodeProto) -> Path:
    """A model of one node with a symbolic batch: x [N, 3] -> y."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 3])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])
    graph = helper.make_graph([node], "g", [x], [y])
    path = folder / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    return path


@pytest.mark.parametrize("peer", ["onnxruntime", "tvm"])
def test_runs_what_it_takes(peer: str, model: Path) -> None:
    run = peers.runner(peer, model, FEEDS, threads=1)
    run()
    run()


@pytest.mark.parametrize("peer", ["onnxruntime", "tvm"])
def test_refuses_an_op_it_does_not_know(peer: str, tmp_path: Path) -> None:
    path = save(tmp_path, helper.make_node("Nonsense", ["x"], ["y"]))
    with pytest.raises(peers.Refused, match=r"^refused: .*Nonsense"):
        peers.runner(peer, path, FEEDS, threads=1)


@pytest.mark.parametrize(("peer", "package"), [("openvino", "openvino"), ("litert", "ai_edge_litert.interpreter")])
def test_says_that_it_is_not_installed(peer: str, package: str, model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(peers.Refused, match=r"^not installed$"):
        peers.runner(peer, model, FEEDS, threads=1)


def test_openvino_runs_where_it_is_installed(model: Path) -> None:
    if importlib.util.find_spec("openvino") is not None:
        peers.runner("openvino", model, FEEDS, threads=1)()
    else:
        with pytest.raises(peers.Refused, match=r"^not installed$"):
            peers.runner("openvino", model, FEEDS, threads=1)


def test_litert_looks_beside_the_model_and_in_a_folder(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", SimpleNamespace(Interpreter=_Interpreter))
    monkeypatch.setenv("TVMOPT_TFLITE", str(tmp_path / "tflite"))
    with pytest.raises(peers.Refused, match=r"^needs a \.tflite file of the same name"):
        peers.runner("litert", model, FEEDS, threads=1)
    for path in (tmp_path / "tflite" / "model.tflite", model.with_suffix(".tflite")):
        path.parent.mkdir(exist_ok=True)
        path.touch()
        with pytest.raises(peers.Refused, match=f"^refused: read {path}$"):
            peers.runner("litert", model, FEEDS, threads=1)


class _Interpreter:
    def __init__(self, model_path: str, num_threads: int) -> None:
        raise ValueError(f"read {model_path}")
