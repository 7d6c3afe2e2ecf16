"""The race beside torch on a GPU: what of it needs neither."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import TensorProto, helper, numpy_helper

import tvmopt
from benchmarks import cuda_race, sparsity, weight_only
from tvmopt import driver
from tvmopt.driver import Driver
from tvmopt.errors import DeviceError
from tvmopt.peers.onnxruntime import Session


def test_row() -> None:
    """Medians of one run, and the others' times by ours."""
    burst = cuda_race.BURST * 1e-6
    row = cuda_race.row("a", {"int8": [10 * burst, 9 * burst, 90 * burst], "torch bf16": [25 * burst]})
    assert row.us == pytest.approx({"int8": 10, "torch bf16": 25})
    assert row.faster == pytest.approx({"torch bf16": 2.5})
    slow = cuda_race.Row("b", {"int8": 8.0, "int8 2:4": 6.0}, {"int8 2:4": 0.75})
    assert cuda_race.table([row, slow]) == (
        ["workload", "int8", "torch bf16", "int8 2:4"],
        [["a", "10.0", "25.0 (2.50x)", "-"], ["b", "8.0", "-", "6.0 (0.75x)"]],
    )


def test_sides_run_in_bursts() -> None:
    """Every side is waited for once a burst."""
    runs = {"int8": 0, "torch bf16": 0, "wait": 0}

    def count(which: str) -> None:
        runs[which] += 1

    sides = {name: (lambda name=name: count(name)) for name in ("int8", "torch bf16")}
    cuda_race.race("a", sides, lambda: count("wait"))
    assert runs["int8"] + runs["torch bf16"] == cuda_race.BURST * runs["wait"]
    assert min(runs.values()) > 0


def test_two_of_four() -> None:
    case = sparsity.region(64, 32, 1, "unstructured", 0)
    weight = cuda_race.two_of_four(case).weight
    assert weight.dtype == np.int8
    assert (np.count_nonzero(weight.reshape(-1, 4, 32), axis=1) <= 2).all()
    assert np.isin(weight, (0, *np.unique(case.weight))).all() and weight.any()


def test_batched(tmp_path: Path) -> None:
    weight = numpy_helper.from_array(np.random.default_rng(0).normal(size=(4, 3, 3, 3)).astype(np.float32), "w")
    nodes = [helper.make_node("Conv", ["x", "w"], ["c"]), helper.make_node("Flatten", ["c"], ["y"])]
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in (("x", (1, 3, 5, 5)), ("y", (1, 36)))
    )
    path = tmp_path / "model.onnx"
    graph = helper.make_graph(nodes, "g", [x], [y], [weight])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    batch = np.random.default_rng(1).normal(size=(3, 3, 5, 5)).astype(np.float32)
    got = Session(onnx.load_from_string(cuda_race.batched(path, 3))).run({"x": batch})["y"]
    each = [Session(path).run({"x": batch[i : i + 1]})["y"] for i in range(3)]
    np.testing.assert_allclose(got, np.concatenate(each), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("model", [cuda_race.scores(2, 16, 32), weight_only.product(1, 64, 32, 4, 32)])
def test_what_is_raced_is_computed_by_a_kernel(model) -> None:
    lowered = tvmopt.compile(model, "x86/avx2").manifest["history"][-1]["after"]
    assert (lowered["regions"] > 0, lowered["inlined"]) == (True, 0)


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing() -> Driver:
        raise DeviceError("this machine has no NVIDIA driver (libcuda.so.1)")

    monkeypatch.setattr(driver, "find", nothing)
    done = CliRunner().invoke(cuda_race.main, [])
    assert done.exit_code == 2
    assert done.output.splitlines()[-1] == "Error: this machine has no NVIDIA driver (libcuda.so.1)"


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(driver, "find", lambda: Driver((13, 0), 80, 108, 163 * 1024))
    monkeypatch.setitem(sys.modules, "torch", None)
    done = CliRunner().invoke(cuda_race.main, [])
    assert done.exit_code == 2
    assert "what runs are compared with is not installed: torch" in done.output
    assert "pip install torch torchvision" in done.output
