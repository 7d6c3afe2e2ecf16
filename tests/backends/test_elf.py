"""How much memory an object file takes."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests import tools
from tvmopt.backends import elf

SOURCE = """
const int table[100] = {1};
int filled[10] = {1};
int zeros[1000];
int twice(int x) { return x * 2; }
"""


@pytest.mark.parametrize(("compiler", "size"), [("cc", "size"), ("arm-none-eabi-gcc", "arm-none-eabi-size")])
def test_as_binutils_counts(compiler: str, size: str, tmp_path: Path) -> None:
    """Of both classes; debugging information is not loaded."""
    tools.need(compiler, size)
    (tmp_path / "a.c").write_text(SOURCE)
    subprocess.run([compiler, "-g", "-c", "a.c", "-o", "a.o"], cwd=tmp_path, check=True)
    told = subprocess.run([size, "a.o"], cwd=tmp_path, check=True, capture_output=True, text=True).stdout
    total = int(told.splitlines()[1].split()[3])
    assert total > 4440
    assert elf.loaded_bytes(tmp_path / "a.o") == total
