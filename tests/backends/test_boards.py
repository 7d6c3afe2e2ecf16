"""Libraries for Arm and RISC-V boards, run under an emulator of their CPU: the same bits as on this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests import tools
from tvmopt import target as targets
from tvmopt.backends import emulated, library, link
from tvmopt.backends.cpu import architecture
from tvmopt.errors import ArtifactError
from tvmopt.runtime.emulator import Emulated
from tvmopt.runtime.library import Library

from .harness import check_same, lowered

MODELS = ("kws", "ic", "vww", "ad")
# Boards that many have run all models, the others one.
CASES = [
    *((f"arm/cortex-{cpu}", model) for cpu in ("a7", "a53", "a72", "a76") for model in MODELS),
    *((cpu, "kws") for cpu in ("arm/neoverse-n1", "riscv/rv64gc", "riscv/rv64gcv")),
]


def emulate(path: Path, cpu: str, folder: Path, run_on: str | None = None) -> Emulated:
    """``path`` compiled for ``cpu``, on an emulator of ``run_on``."""
    board, emulator = targets.get(cpu), targets.get(run_on or cpu).emulator
    assert emulator is not None
    tools.need(emulator.command[0], f"{link.TRIPLES[architecture(board)]}-gcc")
    model = lowered(path, board)
    (folder / "model.so").write_bytes(library.build(model, board, {"target": cpu}))
    return emulated.linux(folder / "model.so", folder, model, board, emulator.command, {"target": cpu})


@pytest.mark.parametrize(("cpu", "name"), CASES)
def test_same_bits_as_on_this_machine(cpu: str, name: str, mlperf_tiny: dict[str, Path], tmp_path: Path) -> None:
    board = emulate(mlperf_tiny[name], cpu, tmp_path)
    check_same(board, mlperf_tiny[name], samples=3)


@pytest.mark.parametrize(("cpu", "lesser"), [("arm/cortex-a76", "arm/cortex-a53"), ("riscv/rv64gcv", "riscv/rv64gc")])
def test_refuses_a_cpu_that_lacks_instructions(
    cpu: str, lesser: str, mlperf_tiny: dict[str, Path], tmp_path: Path
) -> None:
    """By its own check, not by an illegal instruction."""
    board = emulate(mlperf_tiny["ad"], cpu, tmp_path, run_on=lesser)
    with pytest.raises(ArtifactError, match=f"this CPU cannot run code for {cpu}"):
        board.run({spec.name: np.zeros(spec.shape, spec.dtype) for spec in board.inputs})


def test_is_refused_on_this_machine(mlperf_tiny: dict[str, Path], tmp_path: Path) -> None:
    emulate(mlperf_tiny["ad"], "arm/cortex-a7", tmp_path)
    with pytest.raises(ArtifactError, match="another kind of processor"):
        Library(tmp_path / "model.so")
