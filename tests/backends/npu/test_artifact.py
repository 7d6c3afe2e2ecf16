"""Models for a microcontroller with an Ethos-U: run here, and built and run with a driver that stands for Arm's."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import msgspec
import numpy as np
import pytest

import tvmopt
from tests import tools
from tvmopt import target as targets
from tvmopt.backends import static_c
from tvmopt.backends.npu.execute import Executable
from tvmopt.errors import DependencyError, TargetError, UnsupportedError
from tvmopt.runtime.emulator import Emulated
from tvmopt.target import Target

from .harness import FAMILIES, accelerator

DRIVER = Path(__file__).parent / "driver"


def inputs(artifact: tvmopt.Artifact, count: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [
        {spec.name: rng.uniform(-100, 100, spec.shape).astype(spec.dtype) for spec in artifact.inputs}
        for _ in range(count)
    ]


@pytest.mark.parametrize("name", ["kws", "ad"])
def test_results_are_those_of_the_host_alone(mlperf_tiny, name: str) -> None:
    """In fixed point: all that the NPU computes is what kernels of this machine compute."""
    here = msgspec.structs.replace(targets.host(), requantize="fixed")
    alone, both = tvmopt.compile(mlperf_tiny[name], here), tvmopt.compile(mlperf_tiny[name], FAMILIES[0])
    for feeds in inputs(both, 4):
        expected = alone.run(feeds)
        for output, got in both.run(feeds).items():
            np.testing.assert_array_equal(got, expected[output])


@pytest.mark.parametrize("name", FAMILIES)
def test_a_microcontroller_runs_it_with_a_driver(mlperf_tiny, tmp_path: Path, monkeypatch, name: str) -> None:
    """The host's part and its calls run in an emulator; the NPU's answer is that of the reference model."""
    tools.need(*tools.BARE_METAL)
    board = targets.get("arm/cortex-m55").emulator
    parts = {"accelerator": accelerator(name), "emulator": board, "memory": targets.Memory()}
    target = msgspec.structs.replace(targets.get("edge/ethos-u55-128"), **parts)
    answers: list[tuple[np.ndarray, np.ndarray]] = []
    computed = Executable.__call__

    def recorded(self: Executable, arrays: list[np.ndarray]) -> list[np.ndarray]:
        results = computed(self, arrays)
        answers.append((arrays[0].copy(), results[0]))
        return results

    monkeypatch.setattr(Executable, "__call__", recorded)
    artifact = tvmopt.compile(mlperf_tiny["kws"], target)
    (feeds,) = inputs(artifact, 1)
    expected = artifact.run(feeds)
    artifact.save(tmp_path / "model")
    ((given, result),) = answers
    firmware = build(tmp_path / "model", target, given, result)
    emulated = Emulated(
        [*static_c.emulator(target), str(firmware)], artifact.manifest, artifact.inputs, artifact.outputs
    )
    for output, got in emulated.run(feeds).items():
        np.testing.assert_array_equal(got, expected[output])


def build(folder: Path, target: Target, given: np.ndarray, result: np.ndarray) -> Path:
    """Build the project in ``folder`` with the driver in place of Arm's."""
    for file in DRIVER.iterdir():
        shutil.copy(file, folder)
    given.tofile(folder / "expected.bin")
    result.tofile(folder / "result.bin")
    macros = [f"-D{key}={value}" for key, value in places(folder).items()]
    sources = [
        "main.c",
        "startup.c",
        "model.c",
        "model_data.S",
        "model_kernels.o",
        "model_npu.c",
        "model_npu.S",
        "driver.c",
    ]
    told = (folder / "model_npu.c").read_text()
    assert " ".join([static_c.COMPILER, *static_c.flags(target), "-std=gnu11", "-Os"]) in told
    assert "model_kernels.o" in told
    flags = ["-std=gnu11", "-Os", "-Wall", "-Wextra", "-Werror", "-fno-strict-aliasing", "-nostartfiles", "-I."]
    link = ["--specs=nosys.specs", "-T", "firmware.ld", "-lm"]
    command = [static_c.COMPILER, *static_c.flags(target), *flags, *macros, "-o", "firmware.elf", *sources, *link]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "firmware.elf"


def places(folder: Path) -> dict[str, int]:
    """Where the model's only subgraph has its input and output."""
    told = json.loads((folder / "model_manifest.json").read_text())["accelerator"]["places"]
    (one,) = told.values()
    return {
        f"{kind.upper()}_{key.upper()}": one[f"{kind}s"][0][key]
        for kind in ("input", "output")
        for key in ("region", "offset")
    }


def test_the_manifest_has_velas_estimates_under_their_name(mlperf_tiny) -> None:
    told = tvmopt.compile(mlperf_tiny["kws"], "edge/ethos-u55-128").manifest["accelerator"]
    assert told["accelerated_macs"] == told["macs"] == 2656768
    assert told["estimated_by"] == "Vela 5.2.0's estimates"
    (estimate,) = told["estimates"].values()
    assert estimate["cycles"] >= estimate["npu_cycles"] > told["macs"] / 128
    assert "not verified" in told["executed_by"]


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"memory": {"flash_kib": 16}}, UnsupportedError, "KiB, target edge/ethos-u55-128 has 16 KiB for them"),
        ({"memory": {"sram_kib": 16}}, UnsupportedError, "ethos_u.*of on-chip memory, target .* has 16 KiB"),
        (
            {"accelerator": {"system_config": "Nowhere"}},
            TargetError,
            r"'Nowhere'.*\(near: .*Ethos_U55_High_End_Embedded",
        ),
        ({"accelerator": {"memory_mode": "Nowhere"}}, TargetError, "Vela does not know memory_mode 'Nowhere'"),
        ({"accelerator": {"config_file": "no.ini"}}, TargetError, "Vela does not know config_file 'no.ini'"),
    ],
)
def test_what_does_not_fit_or_exist_is_refused(mlperf_tiny, changes, error, says: str) -> None:
    target = targets.get("edge/ethos-u55-128")
    for table, values in changes.items():
        target = msgspec.structs.replace(target, **{table: msgspec.structs.replace(getattr(target, table), **values)})
    with pytest.raises(error, match=says):
        tvmopt.compile(mlperf_tiny["kws"], target)


def test_missing_tools_are_named_with_their_extra(mlperf_tiny, monkeypatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        DependencyError, match=r"need Vela and tosa-tools: the extra 'npu' \(pip install 'tvmopt\[npu\]'"
    ):
        tvmopt.compile(mlperf_tiny["kws"], "edge/ethos-u55-128")
