"""Which C compiler links an artifact, and what is said where there is none."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests import tools
from tvmopt import backends
from tvmopt import target as targets
from tvmopt.backends import link
from tvmopt.errors import DependencyError, TvmoptError

from .harness import make_model, mirror


def hide(monkeypatch: pytest.MonkeyPatch, *kinds: str) -> None:
    """Let no program whose name ends like this be found."""
    which = shutil.which
    monkeypatch.setattr(shutil, "which", lambda name: None if name.endswith(kinds) else which(name))


def test_by_ziglang_where_there_is_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    """For a board, and the program that runs the library in an emulator of it."""
    pytest.importorskip("ziglang")
    tools.need("qemu-aarch64")
    hide(monkeypatch, "gcc", "cc", "clang")
    board = targets.get("arm/cortex-a76")
    assert link.compiler(board)[1:] == ["-m", "ziglang", "cc", "-target", "aarch64-linux-gnu.2.28"]
    artifact = backends.build(make_model(lambda emit, x: emit(mirror, x), x=((800,), "float32")), board)
    x = np.random.default_rng(0).normal(size=800).astype("float32")
    assert np.array_equal(artifact.run({"x": x})["y0"], x[::-1])


@pytest.mark.parametrize(
    ("name", "package"),
    [
        ("host", "package gcc"),
        ("arm/cortex-a76", "package gcc-aarch64-linux-gnu"),
        ("arm/cortex-a7", "package gcc-arm-linux-gnueabihf"),
        ("riscv/rv64gc", "package gcc-riscv64-linux-gnu"),
    ],
)
def test_nothing_that_links(name: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    hide(monkeypatch, "gcc", "cc", "clang")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    board = targets.get(name)
    with pytest.raises(DependencyError) as error:
        link.compiler(board)
    assert str(error.value) == (
        f"compiling for {board.name} needs a C compiler, and none was found "
        f"(install your system's {package}, or: pip install 'tvmopt[cross]')"
    )


def test_failing_compiler(tmp_path: Path) -> None:
    with pytest.raises(TvmoptError, match=r"missing\.c"):
        link.run([*link.compiler(targets.get("host")), "missing.c"], tmp_path)
