"""AMX on any x86-64: ``emulator.c`` executes the instructions of CPUs that lack them."""

from __future__ import annotations

import ctypes
import platform
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tvmopt import target as targets
from tvmopt.backends import cpu
from tvmopt.target import Target

OTHERS = {"avx512vbmi", "avx512_vbmi2", "avx512_bitalg", "avx512_vpopcntdq", "gfni", "avx512_bf16"}
"""What CPUs with AMX have besides what the target file says, and code for them may use."""

ASK = (158, 0x1023, 18)
"""The system call by which a process asks for the tile registers (see ``backends/cpu.py``)."""


class Emulator:
    """The emulator at work in this process, which has asked for the tile registers."""

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))
        self._library.amx_executed.restype = ctypes.c_long
        assert self._library.syscall(*ASK) == 0

    def executed(self) -> int:
        """Instructions since the process began."""
        return sum(self._library.amx_executed(kind) for kind in range(7))

    def products(self) -> int:
        """Those of them that multiply."""
        return int(self._library.amx_executed(6))

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Tiles are multiplied meanwhile."""
        before = self.products()
        yield
        assert self.products() > before


class Cpu:
    """A CPU that has AMX, in a process that has asked for the tile registers."""

    def __init__(self) -> None:
        assert ctypes.CDLL(None).syscall(*ASK) == 0

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Nobody counts."""
        yield


def has_amx() -> bool:
    return targets.cpu_flags() >= {"amx_tile", "amx_int8"}


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The emulator's file."""
    if platform.machine() != "x86_64" or has_amx():
        pytest.skip("needs an x86-64 CPU without AMX")
    path = tmp_path_factory.mktemp("amx") / "emulator.so"
    flags = ["-std=c11", "-O3", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC"]
    subprocess.run(["cc", *flags, "-o", path, Path(__file__).with_name("emulator.c")], check=True)
    return path


@pytest.fixture(scope="session")
def emulator(library: Path) -> Emulator:
    return Emulator(library)


@pytest.fixture(scope="session")
def tiles(request: pytest.FixtureRequest) -> Emulator | Cpu:
    """What executes AMX instructions here."""
    if has_amx():
        return Cpu()
    emulated: Emulator = request.getfixturevalue("emulator")
    return emulated


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
