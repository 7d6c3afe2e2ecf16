"""Every tutorial runs as it stands, from any folder, and every code block of the README does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import tools

ROOT = Path(__file__).resolve().parents[2]
TUTORIALS = sorted((ROOT / "tutorials").glob("*.py"))
# Programs that a tutorial says it needs.
TOOLS = {"cross_compile": ("aarch64-linux-gnu-gcc", "qemu-aarch64", *tools.BARE_METAL, "make")}


def run(folder: Path, *command: str) -> str:
    """Output of a Python process that must succeed."""
    done = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_tutorial_runs(tutorial: Path, tmp_path: Path) -> None:
    tools.need(*TOOLS.get(tutorial.stem, ()))
    assert run(tmp_path, str(tutorial))


def test_readme_code_runs(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), flags=re.DOTALL)
    assert blocks
    for block in blocks:
        assert run(tmp_path, "-c", block)
