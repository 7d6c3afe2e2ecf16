"""Artifacts of several threads: parallel loops, calls at the same time, forked processes."""

from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from tvm import s_tir, te
from tvmopt.schedules import _common

import tvmopt
from tvmopt import demo
from tvmopt import target as targets
from tvmopt.backends import library
from tvmopt.lowering import threads as granting
from tvmopt.model import Model
from tvmopt.report import samples
from tvmopt.runtime.library import Library

from .harness import make_model

ROWS = 37


def mirrored(x: te.Tensor) -> te.Tensor:
    """x [N, K] int32, mirrored along K through a copy that each thread keeps for itself."""
    n, k = x.shape
    copy = te.compute((n, k), lambda i, j: x[i, k - 1 - j], name="copy")
    return te.compute((n, k), lambda i, j: copy[i, j] * 2, name="out")


def parallel_model() -> Model:
    model = make_model(lambda emit, x: emit(mirrored, emit(mirrored, x)), x=((ROWS, 1500), "int32"))
    sch = s_tir.Schedule(model.mod)
    for gv in model.mod.get_global_vars():
        if gv.name_hint != "main":
            sch.work_on(gv.name_hint)
            row, _ = sch.get_loops(sch.get_sblock("out"))
            sch.compute_at(sch.get_sblock("copy"), row)
            sch.parallel(row)
    return model.replace(mod=sch.mod)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("parallel") / "model.so"
    path.write_bytes(library.build(parallel_model(), targets.get("host"), {}, threads=3))
    return path


@pytest.fixture
def model(path: Path) -> Library:
    return Library(path)


def random(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-999, 999, (ROWS, 1500), "int32")


def threads_of(pid: int) -> int:
    return len(os.listdir(f"/proc/{pid}/task"))


def test_computes_with_workers(model: Library) -> None:
    for seed in range(200):
        x = random(seed)
        assert np.array_equal(model.run({"x": x})["y0"], x * 4)


@pytest.mark.parametrize("threads", [2, 5, 16])
def test_same_as_one_thread(threads: int, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Every kernel of a network, however small; with more threads than there are CPUs, and than tasks."""
    monkeypatch.setattr(granting, "WORTH", 0)
    monkeypatch.setattr(_common, "SHARED", 0)
    alone, shared = (tvmopt.compile(demo.INT8_MODEL, "host", threads=count) for count in (1, threads))
    symbols = subprocess.run(["nm", shared.path], capture_output=True, text=True, check=True).stdout
    assert "pthread_create" in symbols
    for feeds in samples.random(alone.inputs, {}, 20):
        expected, found = alone.run(feeds), shared.run(feeds)
        assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_calls_at_the_same_time(model: Library) -> None:
    inputs = [random(seed) for seed in range(400)]
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda x: model.run({"x": x})["y0"], inputs))
    assert all(np.array_equal(y, x * 4) for x, y in zip(inputs, results, strict=True))


def test_forked_process(model: Library) -> None:
    """A child has none of its parent's workers, and must not wait for them."""
    x = random(0)
    model.run({"x": x})
    child = os.fork()
    if child == 0:
        os._exit(0 if np.array_equal(model.run({"x": x})["y0"], x * 4) and threads_of(os.getpid()) >= 3 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert np.array_equal(model.run({"x": x})["y0"], x * 4)


def test_workers_sleep_and_go(path: Path) -> None:
    """Workers use no processor time when there is nothing to do, and end when the library is unloaded."""
    script = f"""
import ctypes, os, time, _ctypes
import numpy as np
from pathlib import Path
from tvmopt.report import samples
from tvmopt.runtime.library import Library
from tvmopt.schedules import _common
model = Library(Path({str(path)!r}))
x = np.zeros(({ROWS}, 1500), "int32")
threads = lambda: len(os.listdir("/proc/self/task"))
alone = threads()
model.run({{"x": x}})
assert threads() == alone + 2, threads()
time.sleep(0.2)
before = time.process_time()
time.sleep(0.5)
assert time.process_time() - before < 0.05
model.run({{"x": x}})
_ctypes.dlclose(model._library._handle)
assert threads() == alone, threads()
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_needs_only_libc(tmp_path: Path) -> None:
    (tmp_path / "model.so").write_bytes(library.build(parallel_model(), targets.get("host"), {}, threads=2))
    undefined = subprocess.run(["nm", "-D", "-u", tmp_path / "model.so"], capture_output=True, text=True, check=True)
    names = {line.split()[-1].partition("@")[0] for line in undefined.stdout.splitlines() if line.split()[0] == "U"}
    others = {name for name in names if not name.startswith("pthread_")}
    assert others <= {"__register_atfork", "sched_yield", "memcpy", "memset"}
    assert {"pthread_create", "pthread_join"} <= names


def test_one_thread_has_no_workers(tmp_path: Path) -> None:
    """Parallel loops are serial ones in an artifact of one thread."""
    (tmp_path / "model.so").write_bytes(library.build(parallel_model(), targets.get("host"), {}))
    symbols = subprocess.run(["nm", tmp_path / "model.so"], capture_output=True, text=True, check=True).stdout
    assert "pthread" not in symbols
    assert "arallelLaunch" not in symbols
    assert np.array_equal(Library(tmp_path / "model.so").run({"x": random(1)})["y0"], random(1) * 4)
