"""Models for microcontrollers: what they compute in an emulator, and what they need."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests import tools
from tvmopt import backends
from tvmopt import target as targets
from tvmopt.backends import image, static_c
from tvmopt.errors import UnsupportedError

from .harness import check_same, lowered, make_model, negate

# Cores of each instruction set: Armv7E-M, Armv7-M with double precision, Armv8.1-M with MVE, Armv8-M, Armv6-M.
CASES = [
    *((f"arm/cortex-{core}", model) for core in ("m4", "m7", "m55") for model in ("kws", "ic", "vww", "ad")),
    *((f"arm/cortex-{core}", "kws") for core in ("m0plus", "m33")),
]
CORES = ["m0plus", "m4", "m7", "m33", "m55", "m85"]


@pytest.fixture(autouse=True)
def _tools() -> None:
    tools.need(*tools.BARE_METAL)


def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, check=True, capture_output=True, **options)


@pytest.mark.parametrize(("core", "name"), CASES)
def test_same_bits_as_on_this_machine(core: str, name: str, mlperf_tiny: dict[str, Path]) -> None:
    board = targets.get(core)
    artifact = backends.build(lowered(mlperf_tiny[name], board), board)
    check_same(artifact, mlperf_tiny[name], samples=2)


@pytest.mark.parametrize(("name", "kib"), [("ic", 52), ("ad", 2), ("kws", None), ("vww", None)])
def test_workspace(name: str, kib: int | None, mlperf_tiny: dict[str, Path]) -> None:
    """As small as the live tensors allow."""
    board = targets.get("arm/cortex-m4")
    made = image.make(lowered(mlperf_tiny[name], board), board, "model", alignment=8, stack_bytes=512, parallel=False)
    plan = made.layout.plan
    assert plan.size <= 1.05 * plan.lower_bound
    assert kib is None or plan.size <= kib << 10


@pytest.mark.parametrize("core", CORES)
def test_needs_no_libc(core: str, mlperf_tiny: dict[str, Path], tmp_path: Path) -> None:
    """No heap, no libm; a core without floating point needs the compiler's own arithmetic."""
    board = targets.get(f"arm/cortex-{core}")
    static_c.build(lowered(mlperf_tiny["kws"], board), board, tmp_path, {})
    flags = [static_c.COMPILER, *static_c.flags(board)]
    if core == "m85":  # which GCC 12 does not know
        flags[1] = "-mcpu=cortex-m55"
    strict = ["-std=c11", "-Os", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    files = ["model.c", "model_data.S", "model_kernels.o"]
    command = [*flags, *strict, "-nostdlib", "-r", "-o", "all.o", *files]
    run(command, cwd=tmp_path)
    listing = run(["arm-none-eabi-nm", "-u", "all.o"], cwd=tmp_path).stdout.decode()
    undefined = {line.split()[-1].removeprefix("__aeabi_") for line in listing.splitlines()}
    soft_float = {"fadd", "fsub", "fmul", "fdiv", "i2f", "fcmplt", "fcmpgt", "fcmpge", "fcmple", "fcmpun", "idiv"}
    assert undefined <= {"memcpy", "memset", "memclr"} | (soft_float if core == "m0plus" else set())


def test_saved_project_builds_and_runs(tmp_path: Path) -> None:
    board = targets.get("arm/cortex-m4")
    model = make_model(lambda emit, x: emit(negate, x), x=((800,), "int8"))
    backends.build(model, board).save(tmp_path / "net")
    x = np.arange(1600, dtype="int16").astype("int8")
    plan = (tmp_path / "net" / "model.plan.txt").read_text()
    assert "arena 0 bytes" in plan
    assert "0  tvmopt_model_negate: x (inputs[0]) -> " in plan
    run(["make", "-s"], cwd=tmp_path / "net")
    done = run(["make", "-s", "run"], cwd=tmp_path / "net", input=x.tobytes())
    assert done.stdout == (-x).tobytes(), "two calls of 800 elements each"
    assert 0 < int(done.stderr) < 1000, "ticks of the second call"


def test_threads_are_refused() -> None:
    board = targets.get("arm/cortex-m4")
    model = make_model(lambda emit, x: emit(negate, x), x=((8,), "int8"))
    with pytest.raises(UnsupportedError, match="arm/cortex-m4 runs one thread, not 2"):
        backends.build(model, board, threads=2)


def test_too_large_a_model_does_not_link(tmp_path: Path) -> None:
    """The project knows the memory of the machine that is emulated."""
    board = targets.get("arm/cortex-m4")
    model = make_model(lambda emit, x: emit(negate, emit(negate, x)), x=((3 << 20,), "int8"))
    static_c.build(model, board, tmp_path, {})
    done = subprocess.run(["make", "-s"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert "region `RAM' overflowed" in done.stderr
