"""Kernels as portable C: any compiler gives the bits that LLVM gives."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tvm import te, tirx

from tests import tools
from tvmopt import abi, backends
from tvmopt import target as targets
from tvmopt.backends import static_c
from tvmopt.backends.embedded import DEFAULT, Embedded
from tvmopt.errors import UnsupportedError
from tvmopt.model import Model
from tvmopt.runtime.library import Library

from .harness import check_same, lowered, make_model, negate

BOARD = targets.get("arm/cortex-m4")


def by_host_compiler(model: Model, folder: Path, *flags: str, options: Embedded = DEFAULT) -> Library:
    """The sources for a microcontroller, compiled for this machine."""
    static_c.build(model, BOARD, folder, {}, replace(options, emit="c"))
    files = ["model.c", "model_kernels.c", "model_data.S"]
    strict = ["-std=c11", "-Wall", "-Wextra", "-Wno-unused-function", "-Wno-unused-parameter", "-Werror"]
    strict.append("-fno-strict-aliasing")
    command = ["cc", *strict, *flags, "-fPIC", "-shared", "-o", "raw.so", *files, "-lm"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder / "model.so").write_bytes(abi.seal((folder / "raw.so").read_bytes()))
    return Library(folder / "model.so")


@pytest.mark.parametrize("flags", [["-O2"], ["-O3", "-march=native"]], ids=" ".join)
@pytest.mark.parametrize("name", ["kws", "ad"])
def test_same_bits_by_the_host_s_compiler(
    name: str, flags: list[str], mlperf_tiny: dict[str, Path], tmp_path: Path
) -> None:
    path = mlperf_tiny[name]
    check_same(by_host_compiler(lowered(path, BOARD), tmp_path, *flags), path, samples=20)


def test_same_bits_on_a_board(mlperf_tiny: dict[str, Path]) -> None:
    tools.need(*tools.BARE_METAL)
    artifact = backends.build(lowered(mlperf_tiny["kws"], BOARD), BOARD, options=Embedded(emit="c"))
    assert not (artifact.path / "model_kernels.o").exists()
    check_same(artifact, mlperf_tiny["kws"], samples=2)


def test_literals_have_all_their_bits(tmp_path: Path) -> None:
    numbers = np.array([0.1, 1.5 * 2**23, -3.4028235e38, 1e-45, np.pi], "float32")

    def plus(number: np.float32) -> Callable[[te.Tensor], te.Tensor]:
        return lambda x: te.compute(x.shape, lambda i: x[i] + te.const(float(number), "float32"), name="plus")

    model = make_model(lambda emit, x: tuple(emit(plus(number), x) for number in numbers), x=((1,), "float32"))
    found = by_host_compiler(model, tmp_path).run({"x": np.zeros(1, "float32")})
    assert np.array_equal(np.concatenate(list(found.values())), numbers)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int32"])
def test_absolute_values(dtype: str, tmp_path: Path) -> None:
    def absolute(x: te.Tensor) -> te.Tensor:
        return te.compute(x.shape, lambda i: tirx.abs(x[i]), name="absolute")

    model = make_model(lambda emit, x: emit(absolute, x), x=((4,), dtype))
    x = np.array([-3, -0.0, 1e-40 if dtype != "int32" else 7, 2**30], dtype)
    found = by_host_compiler(model, tmp_path).run({"x": x})["y0"]
    assert found.tobytes() == np.abs(x).tobytes()


def test_instructions_that_c_lacks_are_refused(tmp_path: Path) -> None:
    def reverse(x: te.Tensor) -> te.Tensor:
        return te.compute(
            x.shape, lambda i: tirx.call_llvm_pure_intrin("int32", "llvm.bitreverse", x[i]), name="reverse"
        )

    model = make_model(lambda emit, x: emit(reverse, x), x=((4,), "int32"))
    with pytest.raises(UnsupportedError, match=r"a kernel needs llvm\.bitreverse of int32"):
        static_c.build(model, BOARD, tmp_path, {}, Embedded(emit="c"))


def test_linux_targets_are_refused() -> None:
    model = make_model(lambda emit, x: emit(negate, x), x=((8,), "int8"))
    with pytest.raises(UnsupportedError, match="emit is for microcontrollers, and arm/cortex-a72 is none"):
        backends.build(model, targets.get("arm/cortex-a72"), options=Embedded(emit="c"))
