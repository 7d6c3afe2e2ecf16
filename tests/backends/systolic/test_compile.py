"""Whole models: the host's part in a library, the array's part simulated, together the host's results to the bit."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import tvmopt
from benchmarks import models
from tvmopt import demo
from tvmopt import target as targets
from tvmopt.errors import ArtifactError, TargetError
from tvmopt.runtime.library import Library
from tvmopt.runtime.systolic import engine as simulator
from tvmopt.runtime.systolic.engine import Simulated

TARGET = "edge/systolic-64x64"


def engine(artifact: tvmopt.Artifact) -> Simulated:
    assert isinstance(artifact.engine, Simulated)
    return artifact.engine


def feeds(artifact: tvmopt.Artifact, seed: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    return {spec.name: rng.uniform(0, 2, spec.shape).astype(spec.dtype) for spec in artifact.inputs}


def check(path: Path, samples: int) -> tvmopt.Artifact:
    """Assert that the array's artifact gives what its host alone would; the artifact."""
    artifact, host = tvmopt.compile(path, TARGET), tvmopt.compile(path, "x86/generic")
    for seed in range(samples):
        x = feeds(artifact, seed)
        ours, theirs = artifact.run(x), host.run(x)
        for name in theirs:
            np.testing.assert_array_equal(ours[name], theirs[name], strict=True)
    return artifact


@pytest.mark.parametrize("name", ["kws", "ic", "vww", "ad"])
def test_mlperf_tiny(name: str, mlperf_tiny: dict[str, Path]) -> None:
    artifact = check(mlperf_tiny[name], 4)
    (layers,) = engine(artifact).costs().values()
    inspection = tvmopt.inspect(mlperf_tiny[name])
    assert sum(layer.macs for layer in layers) == inspection.macs_after_folding, "all of them are the array's"
    reasons = artifact.manifest["accelerator"]["host_reasons"]
    assert set(reasons.values()) <= {
        "it takes or gives float tensors",
        "it moves elements at the edge of what is accelerated",
    }


def test_mobilenet_v2() -> None:
    (layers,) = engine(check(models.get("mobilenet_v2-u8-qdq"), 2)).costs().values()
    assert sum(layer.macs for layer in layers) == 300_774_272
    depthwise = [layer for layer in layers if layer.name.endswith("conv.1.2_QuantizeLinear_Output")]
    assert len(depthwise) == 16
    assert all(layer.utilisation < 0.015 for layer in depthwise), "7 of 64 columns, 1 of 7 rows of each at best"
    others = [layer for layer in layers if layer.kind == "conv" and layer not in depthwise]
    assert max(layer.utilisation for layer in others) > 0.5


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("systolic") / "digits.so"
    tvmopt.compile(demo.INT8_MODEL, TARGET).save(path)
    return path


def test_saved_with_its_stream_for_people(saved: Path) -> None:
    text = saved.with_suffix(".stream.txt").read_text()
    (program,) = engine(tvmopt.open(saved)).programs.values()
    assert program.text() in text
    (layers,) = engine(tvmopt.open(saved)).costs().values()
    assert sum(line.startswith("# ") and ": conv, " in line for line in text.splitlines()) == sum(
        layer.kind == "conv" for layer in layers
    )


def test_engines_of_one_file_and_threads_do_not_meet(saved: Path) -> None:
    first, second = tvmopt.open(saved), tvmopt.open(saved)
    inputs = [feeds(first, seed) for seed in range(4)]
    expected = [first.run(x)["logits"] for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(artifact.run, x) for x in inputs for artifact in (first, second)]
    for index, job in enumerate(jobs):
        np.testing.assert_array_equal(job.result()["logits"], expected[index // 2])


def test_without_a_simulator(saved: Path, tmp_path: Path) -> None:
    alone = tmp_path / "alone.so"
    shutil.copy(saved, alone)
    library = Library(alone)
    with pytest.raises(ArtifactError, match=r"the accelerator of edge/systolic-64x64 failed, or there is none"):
        library.run({"input": np.zeros((1, 1, 8, 8), np.float32)})


def test_errors_of_the_simulator_pass_through_the_library(saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    artifact = tvmopt.open(saved)

    def fail(*_: object) -> None:
        raise MemoryError("no room to simulate")

    monkeypatch.setattr(simulator, "execute", fail)
    with pytest.raises(MemoryError, match="no room to simulate"):
        artifact.run(feeds(artifact, 0))
    monkeypatch.undo()
    assert artifact.run(feeds(artifact, 0))["logits"].shape == (1, 10)


def test_regions_larger_than_the_memory_are_the_host_s(tmp_path: Path) -> None:
    text = (Path(targets.__file__).parents[1] / "targets/edge/systolic-64x64.toml").read_text()
    small = tmp_path / "small.toml"
    small.write_text(text.replace("memory_kib = 8192", "memory_kib = 12"))
    artifact = tvmopt.compile(demo.INT8_MODEL, small)
    reasons = artifact.manifest["accelerator"]["host_reasons"].values()
    assert any("KiB of on-chip memory, there are 12" in reason for reason in reasons)
    x = feeds(artifact, 0)
    np.testing.assert_array_equal(
        artifact.run(x)["logits"], tvmopt.compile(demo.INT8_MODEL, "x86/generic").run(x)["logits"]
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("rows = 64", "rows = 0"), r"Expected `int` >= 1 - at `\$\.accelerator\.rows`"),
        (
            ("memory_kib = 8192", 'memory_kib = "8 MiB"'),
            r"Expected `int`, got `str` - at `\$\.accelerator\.memory_kib`",
        ),
        (("columns = 64", "columns = 1048577"), r"accumulator_kib = 4096 has no room for 1048577 sums"),
        (("clock_mhz = 480", "clock_ghz = 1"), r"Object contains unknown field `clock_ghz` - at `\$\.accelerator`"),
    ],
)
def test_target_files(change: tuple[str, str], message: str, tmp_path: Path) -> None:
    text = (Path(targets.__file__).parents[1] / "targets/edge/systolic-64x64.toml").read_text()
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text.replace(*change))
    with pytest.raises(TargetError, match=message):
        targets.get(wrong)
