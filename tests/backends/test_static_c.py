"""Models for microcontrollers: what they compute in an emulator, and what they need."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace
from tvm import relax

from tests import tools
from tvmopt import backends
from tvmopt import target as targets
from tvmopt.backends import static_c
from tvmopt.backends.embedded import Embedded
from tvmopt.errors import UnsupportedError
from tvmopt.target import Region, Target

from .harness import check_same, lowered, make_model, mirror, negate

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
    """In a workspace (activations and scratch) as small as the live tensors allow."""
    board = targets.get(core)
    artifact = backends.build(lowered(mlperf_tiny[name], board), board)
    check_same(artifact, mlperf_tiny[name], samples=2)
    memory = artifact.manifest["memory"]
    assert memory["workspace_bytes"] <= {"kws": 18, "ic": 52, "vww": 56, "ad": 2}[name] * 1000
    assert memory["workspace_bytes"] <= 1.05 * memory["workspace_lower_bound"]
    assert code_bytes(artifact.path / "model_kernels.o") <= {"kws": 11, "ic": 42, "vww": 54, "ad": 7}[name] * 1000


def code_bytes(file: Path) -> int:
    """Without weights, which are in .rodata."""
    rows = [line.split() for line in run(["arm-none-eabi-size", "-A", str(file)]).stdout.decode().splitlines()]
    return sum(int(row[1]) for row in rows if row and row[0].startswith(".text"))


def with_regions(**kib: int) -> Target:
    """A Cortex-M7 that has memories of these sizes."""
    board = targets.get("arm/cortex-m7")
    regions = [Region(name, size) for name, size in kib.items()]
    return replace(board, memory=replace(board.memory, regions=regions))


def test_fastest_region_first() -> None:
    """On an STM32H743 all of a small model is in its tightly coupled memory, at its own address."""
    model = make_model(lambda emit, x: emit(mirror, emit(mirror, x)), x=((800,), "int8"))
    artifact = backends.build(model, targets.get("arm/cortex-m7"))
    assert artifact.manifest["memory"]["regions"] == {"dtcm": 800}
    header = (artifact.path / "model.h").read_text()
    assert "#define TVMOPT_MODEL_WORKSPACE_BYTES 800 /* dtcm */" in header
    x = np.arange(800, dtype="int16").astype("int8")
    assert np.array_equal(artifact.run({"x": x})["y0"], x)
    (address,) = (
        line
        for line in run(["arm-none-eabi-nm", artifact.path.parent / "firmware" / "firmware.elf"])
        .stdout.decode()
        .splitlines()
        if line.endswith(" workspace")
    )
    assert address.startswith("200")


def test_workspace_in_two_regions(mlperf_tiny: dict[str, Path]) -> None:
    """Fast memory that holds a part of the workspace; the same bits."""
    board = with_regions(dtcm=24, axi_sram=512)
    artifact = backends.build(lowered(mlperf_tiny["ic"], board), board)
    memory = artifact.manifest["memory"]
    assert 16 << 10 < memory["regions"]["dtcm"] <= 24 << 10
    assert memory["workspace_bytes"] == sum(memory["regions"].values())
    assert {buffer["region"] for buffer in memory["buffers"]} == {"dtcm", "axi_sram"}
    header, plan = ((artifact.path / f"model.{kind}").read_text() for kind in ("h", "plan.txt"))
    assert "void *const *outputs, void *workspace_dtcm, void *workspace_axi_sram);" in header
    assert "(workspace_axi_sram at 0)" in plan
    assert f"dtcm: arena {memory['regions']['dtcm']} bytes" in plan
    check_same(artifact, mlperf_tiny["ic"], samples=2)


def test_too_little_memory(mlperf_tiny: dict[str, Path]) -> None:
    board = with_regions(dtcm=16, axi_sram=20)
    with pytest.raises(
        UnsupportedError, match=r"vww.*need 5\d+ bytes at a time, and there are 16 KiB of dtcm, 20 KiB of"
    ):
        backends.build(lowered(mlperf_tiny["vww"], board), board)


@pytest.mark.parametrize(("core", "name"), [("m4", "vww"), ("m7", "kws")])
def test_inputs_and_outputs_in_the_workspace(core: str, name: str, mlperf_tiny: dict[str, Path]) -> None:
    """Which then needs less than both: the input's memory is used again."""
    board = targets.get(f"arm/cortex-{core}")
    model = lowered(mlperf_tiny[name], board)
    artifact = backends.build(model, board, options=Embedded(io_memory="workspace"))
    check_same(artifact, mlperf_tiny[name], samples=2)
    outside = backends.build(model, board).manifest["memory"]["workspace_bytes"]
    inputs = sum(4 * int(np.prod(spec.shape)) for spec in model.inputs)
    assert artifact.manifest["memory"]["workspace_bytes"] < outside + inputs
    header = (artifact.path / "model.h").read_text()
    assert "int32_t tvmopt_model_run(void *workspace);" in header


def test_output_in_the_workspace_that_nothing_computes(tmp_path: Path) -> None:
    def constant(emit, x):
        return relax.BlockBuilder.current().emit(relax.const(np.arange(3, dtype="int32")))

    board = targets.get("arm/cortex-m4")
    with pytest.raises(UnsupportedError, match="output 'y0' is a constant"):
        static_c.build(make_model(constant, x=((2,), "int8")), board, tmp_path, {}, Embedded(io_memory="workspace"))


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
    assert 1_000 < code_bytes(tmp_path / "all.o") <= 14_000


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


def test_two_models_in_one_program(tmp_path: Path) -> None:
    board = targets.get("arm/cortex-m4")
    for name, kernel in (("first", negate), ("second", mirror)):
        model = make_model(lambda emit, x, kernel=kernel: emit(kernel, x), x=((8,), "int8"))
        artifact = backends.build(model, board, name=name)
        x = np.arange(8, dtype="int8")
        assert np.array_equal(artifact.run({"x": x})["y0"], -x if kernel is negate else x[::-1])
        artifact.save(tmp_path)
    (tmp_path / "both.c").write_text(
        '#include "first.h"\n#include "second.h"\n'
        "int32_t both(const void *const *x, void *const *y, void *const *z);\n"
        "int32_t both(const void *const *x, void *const *y, void *const *z) {\n"
        "  static uint8_t first[TVMOPT_FIRST_WORKSPACE_BYTES + 1], second[TVMOPT_SECOND_WORKSPACE_BYTES + 1];\n"
        "  return tvmopt_first_run(x, y, first) + tvmopt_second_run(x, z, second);\n"
        "}\n"
    )
    flags = [static_c.COMPILER, *static_c.flags(board), "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    files = [f"{name}{part}" for name in ("first", "second") for part in (".c", "_data.S", "_kernels.o")]
    run([*flags, "-std=c11", "-nostdlib", "-r", "-o", "all.o", "both.c", *files], cwd=tmp_path)


@pytest.mark.parametrize("standard", ["c++98", "c++20"])
def test_header_in_cpp(standard: str, tmp_path: Path) -> None:
    board = targets.get("arm/cortex-m4")
    static_c.build(make_model(lambda emit, x: emit(negate, x), x=((8,), "int8")), board, tmp_path, {})
    (tmp_path / "use.cpp").write_text('#include "model.h"\nunsigned use() { return tvmopt_model_describe()->abi; }\n')
    strict = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
    if standard == "c++98":
        strict.append("-Wno-long-long")  # of the compiler's own stdint.h
    run(["arm-none-eabi-g++", f"-std={standard}", *strict, "-c", "use.cpp"], cwd=tmp_path)


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
