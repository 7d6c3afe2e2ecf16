"""Loading and running shared libraries: errors, threads, and what has to be installed."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tvm import te

from tests.backends.harness import make_model
from tvmopt import abi
from tvmopt import target as targets
from tvmopt.backends import library
from tvmopt.errors import ArtifactError, InputError
from tvmopt.model import Model
from tvmopt.runtime.library import Library


def sums(x: te.Tensor) -> te.Tensor:
    """x [N, K] int32 -> sums of every row, through a copy of x (so that a workspace is needed)."""
    copy = te.compute(x.shape, lambda i, k: x[i, k] * 3, name="copy")
    k = te.reduce_axis((0, x.shape[1]))
    return te.compute((x.shape[0],), lambda i: te.sum(copy[i, k], axis=k), name="sums")


def build(path: Path, model: Model) -> Library:
    path.write_bytes(library.build(model, targets.get("host"), {"target": "host", "threads": 1}))
    return Library(path)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("library") / "model.so"
    build(path, make_model(lambda emit, x: emit(sums, x), x=((50, 40), "int32")))
    return path


@pytest.fixture(scope="module")
def model(path: Path) -> Library:
    return Library(path)


def test_describes_itself(model: Library) -> None:
    ((x,), (y,)) = model.inputs, model.outputs
    assert (x.name, x.shape, x.dtype, x.scale) == ("x", (50, 40), "int32", None)
    assert (y.name, y.shape, y.dtype) == ("y0", (50,), "int32")
    assert model.manifest["target"] == "host"
    assert model.workspace_bytes >= 50 * 40 * 4


def test_inputs_of_any_layout(model: Library) -> None:
    x = np.arange(4000, dtype="int32").reshape(40, 100)
    for view in (x.T[::2], np.asfortranarray(x[:, :50].T), x[:, :50].T.tolist()):
        array = np.asarray(view, "int32")
        assert np.array_equal(model.run({"x": array})["y0"], array.sum(1) * 3)


def test_input_of_any_alignment(model: Library) -> None:
    memory = np.zeros(50 * 40 * 4 + 4, "uint8")
    x = memory[4:].view("int32").reshape(50, 40)
    x[:] = np.arange(40)
    assert (model.run({"x": x})["y0"] == 3 * 780).all()


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({}, "node 'x': no value"),
        ({"z": np.zeros((50, 40), "int32")}, "node 'z': is not an input.*inputs: x"),
        ({"x": np.zeros((50, 40), "int32"), "z": np.zeros(1)}, "node 'z': is not an input"),
        ({"x": np.zeros((50, 41), "int32")}, r"node 'x': has shape \[50, 41\], not \[50, 40\]"),
        ({"x": np.zeros((50, 40), "int64")}, "node 'x': has dtype int64, not int32"),
    ],
)
def test_wrong_inputs(model: Library, inputs: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(InputError, match=message):
        model.run(inputs)


def test_threads_do_not_disturb_each_other(model: Library) -> None:
    inputs = [np.random.default_rng(i).integers(-99, 99, (50, 40), "int32") for i in range(1000)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda x: model.run({"x": x})["y0"], inputs))
    assert all(np.array_equal(y, x.sum(1) * 3) for x, y in zip(inputs, results, strict=True))


def test_bound_inputs_are_read_again_and_outputs_written_again(model: Library) -> None:
    first, second = np.ones((50, 40), "int32"), np.full((40, 50), 2, "int32").T
    run, other = model.bind({"x": first}), model.bind({"x": second})
    outputs = run()["y0"]
    assert (outputs == 120).all()
    first[:] = 3
    assert (other()["y0"] == 240).all()
    assert (model.run({"x": first})["y0"] == 360).all()
    assert (outputs == 120).all()
    assert run()["y0"] is outputs
    assert (outputs == 360).all()


def test_bound_outputs_begin_at_cache_lines(model: Library) -> None:
    runs = [model.bind({"x": np.zeros((50, 40), "int32")}) for _ in range(8)]
    assert [run()["y0"].ctypes.data % 64 for run in runs] == [0] * 8


def test_what_run_refuses_is_not_bound(model: Library) -> None:
    with pytest.raises(InputError, match="has dtype float64"):
        model.bind({"x": np.zeros((50, 40))})


def test_many_runs_do_not_grow(model: Library) -> None:
    def resident() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1])

    inputs = {"x": np.zeros((50, 40), "int32")}
    for _ in range(100):
        model.run(inputs)
    before = resident()
    for _ in range(10_000):
        model.run(inputs)
    assert resident() - before < 64, "pages"


def test_replaced_file_is_another_model(tmp_path: Path) -> None:
    path, outputs = tmp_path / "model.so", []
    for factor in (2, 3):
        if path.exists():
            path.unlink()
        model = make_model(
            lambda emit, x, by=factor: emit(lambda t: te.compute(t.shape, lambda i: t[i] * by), x), x=((4,), "int32")
        )
        outputs.append(build(path, model).run({"x": np.ones(4, "int32")})["y0"][0])
    assert outputs == [2, 3]


@pytest.mark.parametrize("damage", ["missing", "text", "cut", "flipped"])
def test_damaged_files_are_refused(path: Path, tmp_path: Path, damage: str) -> None:
    data = bytearray(path.read_bytes())
    other = tmp_path / "other.so"
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    if damage != "missing":
        other.write_bytes(b"hello" if damage == "text" else bytes(data[:-1] if damage == "cut" else data))
    with pytest.raises(ArtifactError, match=r"other\.so: (cannot be read|is not a library|is damaged)"):
        Library(other)


def test_other_library_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.c").write_text("int nothing;\n")
    subprocess.run(["cc", "-shared", "-o", tmp_path / "raw.so", tmp_path / "empty.c"], check=True)
    (tmp_path / "empty.so").write_bytes(abi.seal((tmp_path / "raw.so").read_bytes()))
    with pytest.raises(ArtifactError, match="cannot be loaded on this machine"):
        Library(tmp_path / "empty.so")


def test_needs_only_numpy(path: Path) -> None:
    """A process that can import nothing but numpy and the standard library opens a saved model and runs it."""
    script = f"""
import importlib.abc
import sys
import numpy as np

class Deployed(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in sys.stdlib_module_names | {{"numpy", "tvmopt"}}:
            raise ModuleNotFoundError(f"{{name}} is not installed where models are deployed", name=name)

sys.meta_path.insert(0, Deployed())
import tvmopt
model = tvmopt.open({str(path)!r})
x = {{"x": np.ones((50, 40), "int32")}}
assert (model.run(x)["y0"] == 120).all()
assert (model.bind(x)()["y0"] == 120).all()
assert (model.run_async(x).result()["y0"] == 120).all()
assert not {{"tvm", "onnx", "msgspec"}} & sys.modules.keys()
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
