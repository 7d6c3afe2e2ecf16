"""The option --forbid-skips, which keeps CI from passing without having run a test."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONFTEST = Path(__file__).with_name("conftest.py")

PLAIN = """
import pytest
def test_passes(): pass
def test_skipped(): pytest.skip("no model")
"""
HARDWARE = """
import pytest
@pytest.mark.hardware("amx")
def test_hardware(): pytest.skip("no AMX")
"""
MODULE = """
import pytest
pytest.importorskip("no_such_module")
"""


def run(folder: Path, source: str, *options: str) -> tuple[int, str]:
    """Exit code and output of pytest on one test file beside our conftest.py."""
    shutil.copy(CONFTEST, folder / "conftest.py")
    (folder / "test_it.py").write_text(source)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = hardware(name): special hardware\n")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, "test_it.py"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


@pytest.mark.parametrize("options", [(), ("-n", "1")], ids=["plain", "xdist"])
def test_a_skip_fails_when_forbidden(tmp_path: Path, options: tuple[str, ...]) -> None:
    assert run(tmp_path, PLAIN, *options)[0] == pytest.ExitCode.OK
    code, output = run(tmp_path, PLAIN, "--forbid-skips", *options)
    assert code == pytest.ExitCode.TESTS_FAILED
    assert "1 failed, 1 passed" in output
    assert "no model (skips are forbidden by --forbid-skips)" in output


def test_a_hardware_skip_is_allowed(tmp_path: Path) -> None:
    code, output = run(tmp_path, HARDWARE, "--forbid-skips")
    assert code == pytest.ExitCode.OK
    assert "1 skipped" in output


def test_a_skipped_module_fails_when_forbidden(tmp_path: Path) -> None:
    code, output = run(tmp_path, MODULE, "--forbid-skips")
    assert code == pytest.ExitCode.INTERRUPTED  # a module that cannot be collected
    assert "skips are forbidden" in output
