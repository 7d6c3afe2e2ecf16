"""AMX on CPUs without it: ``emulator.c`` executes the instructions."""

from __future__ import annotations

import ctypes
import subprocess
from pathlib import Path

import pytest

from tvmopt import target as targets
from tvmopt.backends import cpu
from tvmopt.target import Target

OTHERS = {"avx512vbmi", "avx512_vbmi2", "avx512_bitalg", "avx512_vpopcntdq", "gfni", "avx512_bf16"}
"""What CPUs with AMX have besides what the target file says, and code for them may use."""

KINDS = ("ldtilecfg", "sttilecfg", "tilerelease", "tilezero", "tileloadd", "tilestored", "tdp")


class Emulator:
    """The emulator at work in this process, which has asked for the tile registers."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._library.amx_executed.restype = ctypes.c_long
        assert self._library.syscall(158, 0x1023, 18) == 0

    def executed(self) -> dict[str, int]:
        """Instructions since the process began, by kind."""
        return {kind: self._library.amx_executed(i) for i, kind in enumerate(KINDS)}


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The emulator's file."""
    path = tmp_path_factory.mktemp("amx") / "emulator.so"
    flags = ["-std=c11", "-O3", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, "-o", path, Path(__file__).with_name("emulator.c")], check=True)
    return path


@pytest.fixture(scope="session")
def emulator(library: Path) -> Emulator:
    return Emulator(library)


@pytest.fixture(scope="session")
def target() -> Target:
    """The target whose code has AMX instructions."""
    found = targets.get("x86/sapphirerapids")
    if not targets.cpu_flags() >= {flag for flag in found.host.flags if not flag.startswith("amx")} | OTHERS:
        pytest.skip("needs AVX512-VNNI")
    return found


@pytest.fixture
def unchecked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Artifacts that are compiled ask CPUID for all but AMX, and the system for all but its registers."""
    monkeypatch.setitem(cpu._X86, (7, 0, 3), {})
    monkeypatch.delitem(cpu._XCR0, "amx-tile")
