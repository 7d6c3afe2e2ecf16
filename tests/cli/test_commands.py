"""Every command does its job, and ``--json`` prints one object with the keys that scripts rely on."""

from __future__ import annotations

import json
import logging
import os
import pty
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner

from tests import tools
from tvmopt import api, demo, target
from tvmopt.cli import COMMANDS, main, terminal
from tvmopt.errors import InputError
from tvmopt.peers.onnxruntime import Session

from ..report.models import residual


def run(*arguments: str | Path) -> str:
    """Standard output of a command that succeeds and prints nothing else."""
    result = CliRunner().invoke(main, [str(argument) for argument in arguments], catch_exceptions=False)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def run_json(*arguments: str | Path) -> dict[str, Any]:
    found = json.loads(run(*arguments, "--json"))
    assert isinstance(found, dict)
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cli") / "residual.onnx"
    onnx.save(residual(), path)
    return path


def test_every_command_has_help() -> None:
    for name in COMMANDS:
        assert run(name, "--help").startswith(f"Usage: main {name} ")


def test_compile_for_bytes(tmp_path: Path) -> None:
    np.savez(tmp_path / "in.npz", input=np.zeros((1, 1, 8, 8), np.int8))
    run("compile", demo.INT8_MODEL, "-o", tmp_path / "m.so", "--io", "int8")
    printed = run("run", tmp_path / "m.so", "--input", tmp_path / "in.npz", "--output", tmp_path / "out")
    assert printed == "logits: int8 [1, 10]\n"


@pytest.mark.parametrize(
    ("text", "value"),
    [("k=3", 3), ("k=-2", -2), ("k=true", True), ("k=1e-3", 0.001), ("k=1,2.5,False", [1, 2.5, False]), ("a=b=1", 1)],
)
def test_constants_are_numbers_or_lists(model: Path, monkeypatch: pytest.MonkeyPatch, text: str, value: object) -> None:
    given: dict[str, object] = {}

    def load(*_: object, constants: dict[str, object], shapes: object) -> None:
        given.update(constants)
        raise InputError("that is all")

    monkeypatch.setattr(api, "load", load)
    assert CliRunner().invoke(main, ["inspect", str(model), "--constant", text]).exit_code == 2
    assert given == {text.rpartition("=")[0]: value}
    assert str(given).replace(" ", "").endswith(f"{value}}}".replace(" ", ""))  # true is not 1


def test_compile_to_c(tmp_path: Path) -> None:
    run(
        "compile",
        demo.INT8_MODEL,
        "-o",
        tmp_path / "m4",
        "-t",
        "arm/cortex-m4",
        "--emit",
        "c",
        "--io-memory",
        "workspace",
        "--compress-weights",
        "--name",
        "digits",
    )
    assert {"digits.h", "digits.c", "digits_kernels.c", "digits_data.S"} <= {
        path.name for path in (tmp_path / "m4").iterdir()
    }


def test_compile_and_run(model: Path, tmp_path: Path) -> None:
    feeds = {"x": np.random.default_rng(5).uniform(-2.6, 2.5, (1, 3, 6, 6)).astype(np.float32)}
    np.savez(tmp_path / "in.npz", **feeds)
    assert "KiB for " in run("compile", model, "-o", tmp_path / "m.so", "-t", "host", "--threads", "1")
    printed = run("run", tmp_path / "m.so", "--input", tmp_path / "in.npz", "--output", tmp_path / "out")
    assert "y: float32 [1, 4]" in printed
    expected = Session(model, integer=True).run(feeds)
    with np.load(tmp_path / "out") as found:
        assert list(found) == list(expected)
        for name in expected:
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-6)


def test_run_refuses_a_wrong_shape_or_dtype(model: Path, tmp_path: Path) -> None:
    run("compile", model, "-o", tmp_path / "m.so")
    for array, says in (
        (np.zeros((1, 3, 6), np.float32), "has shape [1, 3, 6]"),
        (np.zeros(3, np.int8), "has dtype int8"),
    ):
        np.savez(tmp_path / "in.npz", x=array)
        arguments = ["run", "m.so", "--input", "in.npz", "--output", "out.npz"]
        result = CliRunner().invoke(main, [a if "." not in a else str(tmp_path / a) for a in arguments])
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
        assert says in result.stderr
        assert not (tmp_path / "out.npz").exists()


def test_verify_json(model: Path, tmp_path: Path) -> None:
    found = run_json("verify", model, "-t", "host", "--samples", "3", "--layer-samples", "2")
    assert found.keys() >= {"samples", "top1_agreement", "max_lsb", "mean_lsb", "exact_ops", "layers"}
    assert (found["samples"], found["exact_ops"], found["max_lsb"], found["top1_agreement"]) == (3, 5, 0, 1)
    assert [layer["name"] for layer in found["layers"]] == ["q0", "q1", "q2", "q3", "q4"]
    assert found["layers"][1] == {
        "name": "q1",
        "op": "Conv+Relu",
        "exact": True,
        "max_lsb": 0,
        "mean_lsb": 0,
        "mismatches": 0,
        "elements": 2 * 288,
    }
    data = tmp_path / "data.npz"
    np.savez(data, x=np.zeros((2, 3, 6, 6), np.float32), labels=np.array([0, 1]))
    found = run_json("verify", model, "--data", data)
    assert found["accuracy"] == found["reference_accuracy"]
    assert "equal to ONNX Runtime" in run("verify", model, "--data", data)


def test_inspect_json(model: Path) -> None:
    found = run_json("inspect", model)
    assert found.keys() >= {
        "macs",
        "macs_after_folding",
        "weight_bytes",
        "weight_bytes_after_folding",
        "zero_fraction",
        "dead_channels",
        "quantized_ops",
        "float_ops",
    }
    assert found["macs"] == 36 * 8 * 27 + 36 * 8 * 8 + 288 * 4
    (softmax,) = [op for op in found["ops"] if op["where"] == "float"]
    assert softmax["name"] == "y"
    assert softmax["reason"]
    assert "why not int8" in run("inspect", model)
    assert "pruning" not in run("inspect", model)


def test_inspect_shows_what_is_pruned() -> None:
    without, told = run("inspect", demo.INT8_MODEL), run("inspect", demo.INT8_MODEL, "-t", "x86/generic")
    assert "channels folded" in without
    assert "weight on" not in without
    assert "weight on x86/generic" in told
    assert "what it would save to skip them all" in told


def test_bench_json(model: Path, tmp_path: Path) -> None:
    found = run_json("bench", model, "--vs", "onnxruntime,tvm", "--threads", "1")
    assert found.keys() >= {"model", "target", "threads", "rows", "ratio"}
    assert [row["runtime"] for row in found["rows"]] == ["tvmopt", "onnxruntime", "tvm"]
    assert all(row.keys() >= {"runtime", "median_us", "min_us", "status"} for row in found["rows"])
    assert found["ratio"].keys() == {"onnxruntime", "tvm"}
    run("compile", model, "-o", tmp_path / "m.so")
    table = run("bench", tmp_path / "m.so")
    assert "needs the ONNX model" in table


def test_estimate() -> None:
    found = run_json("estimate", demo.INT8_MODEL, "-t", "edge/systolic-64x64")
    assert found.keys() >= {"latency_us", "macs", "method", "cycles", "stall_cycles", "utilisation", "layers"}
    printed = run("estimate", demo.INT8_MODEL, "-t", "edge/systolic-64x64")
    assert f"cycles        {found['cycles']:,}: array {found['array_cycles']:,}, " in printed
    assert "logits: it takes or gives float tensors\n" in printed
    assert all(layer["name"] in printed for layer in found["layers"])


def test_estimate_on_a_microcontroller() -> None:
    tools.need(*tools.BARE_METAL)
    found = run_json("estimate", demo.INT8_MODEL, "-t", "arm/cortex-m4")
    assert found.keys() >= {
        "latency_us",
        "macs",
        "flash_bytes",
        "ram_bytes",
        "energy_uj",
        "method",
        "unknown",
        "layers",
    }
    printed = run("estimate", demo.INT8_MODEL, "-t", "arm/cortex-m4")
    assert found["method"] in printed
    assert f"energy        {found['energy_uj']:,.1f} uJ\n" in printed
    assert f"bytes         flash {found['flash_bytes']:,}, RAM {found['ram_bytes']:,}\n" in printed
    assert all(layer["name"] in printed for layer in found["layers"])


def test_estimate_says_what_it_does_not_know() -> None:
    found = run_json("estimate", demo.INT8_MODEL, "-t", "arm/cortex-m85")
    assert (found["energy_uj"], found["latency_us"]) == (None, None)
    reason = "target arm/cortex-m85 has no emulator that counts instructions"
    assert f"unknown       instructions, latency_us, energy_uj: {reason}\n" in run(
        "estimate", demo.INT8_MODEL, "-t", "arm/cortex-m85"
    )


def test_targets() -> None:
    listed = run("targets")
    for name in target.names():
        assert name in listed
    assert [one["name"] for one in run_json("targets")["targets"]] == target.names()[1:]
    assert ["llvm.mcpu", "haswell"] in [line.split() for line in run("targets", "x86/avx2").splitlines()]
    assert ["memory.regions", "dtcm", "128,", "axi_sram", "512"] in [
        line.split() for line in run("targets", "arm/cortex-m7").splitlines()
    ]
    assert run_json("targets", "x86/avx2")["llvm"]["mcpu"] == "haswell"


def test_demo() -> None:
    printed = run("demo")
    record = json.loads(demo.RECORD.read_text())
    assert "equal to ONNX Runtime" in printed
    table = printed.partition("Side by side")[2].splitlines()
    accuracy = {line.split("  ")[0]: line for line in table if "," in line}
    assert f"{record['int8_accuracy']:.4f}" in accuracy["tvmopt, int8"]
    assert f"{record['int8_accuracy']:.4f}" in accuracy["ONNX Runtime, int8"]
    assert f"{record['float_accuracy']:.4f}" in accuracy["ONNX Runtime, float"]


def test_progress_is_silent_where_there_is_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    with terminal.progress():
        logging.getLogger("tvmopt.something").info("working")
    assert capfd.readouterr() == ("", "")


def test_progress_goes_to_a_terminal(tmp_path: Path, model: Path) -> None:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "tvmopt", "inspect", str(model), "--json"]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=theirs, timeout=60, check=True)
    os.close(theirs)
    shown = os.read(ours, 1 << 16).decode()
    os.close(ours)
    assert "importing" in shown  # the longest; shorter ones may come between two frames
    json.loads(done.stdout)
