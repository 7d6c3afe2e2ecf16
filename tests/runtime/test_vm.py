"""Executables of TVM's virtual machine: what only they can do, and what they refuse."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from tvm import relax, s_tir, te

from tvmopt import abi, backends, runtime
from tvmopt.backends import cpu
from tvmopt.errors import ArtifactError
from tvmopt.lowering import lower
from tvmopt.model import Model, TensorSpec
from tvmopt.runtime import vm

from .test_artifact import HOST, make_model


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "model.so"
    backends.build(lower(make_model("n"), HOST), HOST).save(path)
    return path


def test_sizes_are_known_at_run_time(path):
    artifact = runtime.open(path)
    for n in (1, 5, 1000, 2):
        x = np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32)
        np.testing.assert_array_equal(artifact.run({"x": x})["z"], x + x)


def test_the_manifest_is_read_without_loading_code(path):
    manifest = vm.read_manifest(path)
    assert manifest["backend"] == "vm"
    assert manifest["inputs"][0]["shape"] == ["n", 3]


def test_another_version_of_tvm(path):
    library = abi.check_seal(path).partition(vm._MARK)[0]
    manifest = vm.read_manifest(path)
    manifest["versions"]["apache-tvm"] = "0.1"
    path.write_bytes(abi.seal(vm.attach(library, manifest)))
    with pytest.raises(ArtifactError, match=r"was compiled by TVM 0\.1, this is"):
        runtime.open(path)


def test_another_cpu(tmp_path, monkeypatch):
    refuse = "int32_t tvmopt_model_check(void) { return TVMOPT_CPU; }"
    monkeypatch.setattr(cpu, "check", lambda target, name: ("", refuse))
    path = tmp_path / "model.so"
    backends.build(lower(make_model("n"), HOST), HOST).save(path)
    with pytest.raises(ArtifactError, match=f"this CPU cannot run code for {HOST.name}"):
        runtime.open(path)


@pytest.mark.parametrize("threads", [1, 2])
def test_operators_that_only_tvm_has(threads):
    """A sort is a call into TVM's runtime."""
    builder = relax.BlockBuilder()
    x = relax.Var("x", relax.TensorType((300, 70), "float32"))
    with builder.function("main", [x]):
        with builder.dataflow():
            result = builder.emit_output(builder.emit(relax.op.sort(builder.emit(relax.op.add(x, x)), axis=1)))
        builder.emit_func_output(result)
    spec = TensorSpec("x", (300, 70), "float32")
    model = Model(builder.finalize(), (spec,), (TensorSpec("y", (300, 70), "float32"),))
    artifact = backends.build(lower(model, HOST, threads), HOST, threads)
    values = np.random.default_rng(0).normal(size=(300, 70)).astype(np.float32)
    np.testing.assert_array_equal(artifact.run({"x": values})["y"], np.sort(values + values, axis=1))
    assert artifact.manifest["backend"] == "vm"


def test_accumulators_are_on_the_stack(tmp_path):
    """TVM alone allocates local buffers of more than 1 KB."""

    n = te.var("n", "int64")
    rows = te.placeholder((n, 512), "int32", name="rows")
    staged = te.compute((n, 512), lambda i, j: rows[i, j] + j.astype("int32"), name="staged")
    out = te.compute((n, 512), lambda i, j: staged[i, 511 - j], name="out")
    sch = s_tir.Schedule(te.create_prim_func([rows, out]))
    sch.compute_at(sch.get_sblock("staged"), sch.get_loops(sch.get_sblock("out"))[0])
    sch.set_scope(sch.get_sblock("staged"), 0, "local")

    x = relax.Var("x", relax.TensorType((n, 512), "int32"))
    builder = relax.BlockBuilder()
    with builder.function("main", [x]):
        with builder.dataflow():
            gv = builder.add_func(sch.mod["main"].without_attr("global_symbol"), "staged")
            result = builder.emit_output(relax.call_tir(gv, [x], relax.TensorType((n, 512), "int32")))
        builder.emit_func_output(result)
    specs = [TensorSpec(name, ("n", 512), "int32") for name in "xy"]
    artifact = backends.build(Model(builder.finalize(), (specs[0],), (specs[1],)), HOST)
    values = np.random.default_rng(0).integers(-99, 99, (3, 512), dtype="int32")
    np.testing.assert_array_equal(artifact.run({"x": values})["y"], (values + np.arange(512))[:, ::-1])
    symbols = subprocess.run(["nm", artifact.path], capture_output=True, text=True, check=True).stdout
    assert "TVMBackendAllocWorkspace" not in symbols
