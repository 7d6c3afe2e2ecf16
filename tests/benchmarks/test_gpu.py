"""The command for a machine with a GPU: what of it needs none."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import cuda_race, gpu
from tvmopt import driver
from tvmopt.driver import Driver
from tvmopt.errors import DeviceError

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(driver, "find", lambda: Driver((13, 0), 90, 132, 232448))
    return tmp_path / "found"


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "steps.jsonl").read_text().splitlines()]


def test_every_step_is_in_the_file_and_one_that_failed_is_run_again(monkeypatch, folder):
    steps = {"a: b": ["-c", "print('x'); print('{\\n \"y\": 1}')"], "c": ["-c", "import nothing"]}
    monkeypatch.setattr(gpu, "steps", lambda: steps)
    ran = CliRunner().invoke(gpu.main, [str(folder)])
    assert ran.exit_code == 1
    assert [line.split()[0] for line in ran.output.splitlines()] == ["ok", "failed"]
    first, second = lines(folder)
    assert (first["name"], first["status"], first["result"]) == ("a: b", "ok", {"y": 1})
    assert first["gpu"]["capability"] == 90
    assert (second["status"], second["result"]) == ("failed", None)
    assert "No module named 'nothing'" in (folder / "c.txt").read_text()
    steps["c"] = ["-c", ""]
    assert CliRunner().invoke(gpu.main, [str(folder)]).exit_code == 0
    assert [line["status"] for line in lines(folder)] == ["ok", "failed", "ok"]


def test_a_step_that_takes_too_long(monkeypatch, folder):
    hangs = "import time; print('begun', flush=True); time.sleep(60)"
    monkeypatch.setattr(gpu, "steps", lambda: {"hangs": ["-c", hangs], "next": ["-c", ""]})
    CliRunner().invoke(gpu.main, [str(folder), "--minutes", "0.01"])
    (line,) = lines(folder)
    assert line["status"] == "too long"
    assert (folder / "hangs.txt").read_text() == "begun\n"


def test_the_steps_are_there():
    for name, (_, module, *options) in gpu.steps().items():
        files = [ROOT / option for option in options if option.endswith(".py")]
        assert all(file.exists() for file in files), name
        assert files or (ROOT / f"{module.replace('.', '/')}.py").exists(), name
        assert not name.startswith("race") or options[-1] in cuda_race.WORKLOADS


def test_without_a_gpu(monkeypatch, tmp_path):
    def nothing() -> Driver:
        raise DeviceError("this machine has no NVIDIA driver (libcuda.so.1)")

    monkeypatch.setattr(driver, "find", nothing)
    ran = CliRunner().invoke(gpu.main, [str(tmp_path)])
    assert ran.exit_code == 2
    assert "no NVIDIA driver" in ran.output
