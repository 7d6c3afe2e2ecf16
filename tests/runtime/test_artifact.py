"""Artifacts of either kind behave alike."""

from __future__ import annotations

import multiprocessing
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tvm import relax

from tvmopt import backends, runtime
from tvmopt import target as targets
from tvmopt.errors import ArtifactError, InputError
from tvmopt.lowering import lower
from tvmopt.model import Model, TensorSpec

HOST = targets.get("host")


def make_model(size: int | str) -> Model:
    """x [size, 3] float32 -> relu(x), x + x."""
    import tvm

    dim = tvm.tirx.Var(size, "int64") if isinstance(size, str) else size
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType([dim, 3], "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            outputs = builder.emit(relax.op.nn.relu(x)), builder.emit(relax.op.add(x, x))
            result = builder.emit_output(relax.Tuple(outputs))
        builder.emit_func_output(result)
    specs = [TensorSpec(name, (size, 3), "float32") for name in ("x", "y", "z")]
    return Model(builder.finalize(), (specs[0],), tuple(specs[1:]), source="twice.onnx", sha256="abc")


@pytest.fixture(scope="module", params=[4, "n"], ids=["library", "vm"])
def artifact(request: pytest.FixtureRequest) -> runtime.Artifact:
    return backends.build(lower(make_model(request.param), HOST), HOST)


@pytest.fixture
def saved(artifact: runtime.Artifact, tmp_path: Path) -> Path:
    path = tmp_path / "model"  # no suffix
    artifact.save(path)
    return path


def check(artifact: runtime.Artifact) -> None:
    x = np.linspace(-1, 1, 12, dtype=np.float32).reshape(4, 3)
    outputs = artifact.run({"x": x})
    assert list(outputs) == ["y", "z"]
    np.testing.assert_array_equal(outputs["y"], np.maximum(x, 0))
    np.testing.assert_array_equal(outputs["z"], x + x)


def test_runs_before_and_after_saving(artifact, saved):
    check(artifact)
    check(runtime.open(saved))


def test_saving_replaces_a_file_in_use(artifact, saved):
    opened = runtime.open(saved)
    artifact.save(saved)
    check(opened)
    assert {path.suffix for path in saved.parent.iterdir()} <= {"", ".h", ".txt"}, "no partial file is left"


def test_manifest(artifact):
    manifest = artifact.manifest
    assert (manifest["source"], manifest["sha256"]) == ("twice.onnx", "abc")
    assert (manifest["target"], manifest["threads"], manifest["requantize"]) == (HOST.name, 1, "float")
    assert [record["name"] for record in manifest["history"]] == ["Lower"]
    assert [(spec.name, spec.dtype) for spec in artifact.inputs] == [("x", "float32")]
    assert [(spec.name, spec.dtype) for spec in artifact.outputs] == [("y", "float32"), ("z", "float32")]
    assert manifest["inputs"][0]["shape"] == list(artifact.inputs[0].shape)


def test_wrong_inputs(artifact):
    x = np.zeros((4, 3), np.float32)
    for inputs in ({}, {"x": x, "w": x}, {"x": x.astype("int8")}, {"x": x[:, :2]}):
        with pytest.raises(InputError):
            artifact.run(inputs)


def test_threads_may_share_one(artifact):
    def run(value: int) -> bool:
        x = np.full((4, 3), value, np.float32)
        return all(np.array_equal(artifact.run({"x": x})["z"], x + x) for _ in range(50))

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(run, range(8)))


def test_run_async(artifact):
    """Every one of 1,000 calls gives its own result; what goes wrong in a call is told by its future."""
    inputs = [np.random.default_rng(i).normal(size=(4, 3)).astype(np.float32) for i in range(1000)]
    futures = [artifact.run_async({"x": x}) for x in inputs]
    assert all(np.array_equal(future.result()["z"], x + x) for x, future in zip(inputs, futures, strict=True))
    with pytest.raises(InputError, match="no value was given"):
        artifact.run_async({}).result()


def test_run_async_in_a_forked_process(artifact):
    x = np.ones((4, 3), np.float32)
    assert artifact.run_async({"x": x}).result()["z"][0, 0] == 2  # its threads are none of the fork's
    fork = multiprocessing.get_context("fork").Process(target=lambda: artifact.run_async({"x": x}).result())
    fork.start()
    fork.join(60)
    fork.kill()
    assert fork.exitcode == 0


def test_threads_load_it_once(saved, monkeypatch):
    opened = []
    monkeypatch.setattr(
        runtime.Artifact, "_open", lambda self, load=runtime.Artifact._open: opened.append(1) or load(self)
    )
    artifact, start = runtime.Artifact(saved), threading.Barrier(8)

    def engine(_):
        start.wait()
        return artifact.engine

    with ThreadPoolExecutor(8) as pool:
        assert len(set(map(id, pool.map(engine, range(8))))) == 1
    assert opened == [1]


def test_benchmark(artifact):
    timing = artifact.benchmark({"x": np.zeros((4, 3), np.float32)}, repeats=5, warmup=1)
    assert 0 < timing.min_us <= timing.median_us
    assert timing.repeats == 5


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text"])
def test_damaged_files(saved, damage):
    data = bytearray(saved.read_bytes())
    data[len(data) // 2] ^= 1
    saved.write_bytes({"cut": data[:-100], "flipped": data, "empty": b"", "text": b"hello"}[damage])
    with pytest.raises(ArtifactError) as error:
        runtime.open(saved)
    assert str(saved) in str(error.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(ArtifactError, match="cannot be read"):
        runtime.open(tmp_path / "none.so")


def test_the_temporary_file_goes_with_the_object():
    built = backends.build(lower(make_model(2), HOST), HOST)
    path = built.path
    assert path.is_file()
    del built
    assert not path.exists()
