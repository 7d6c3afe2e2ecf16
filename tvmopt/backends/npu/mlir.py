"""TOSA files as text of MLIR's TOSA dialect, which other MLIR compilers take; by the ``tosa-opt`` of tosa-tools."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

_TOSA_OPT = "import sys; from tosa_tools_cli.binary_entry_points import tosa_opt; sys.exit(tosa_opt())"
"""As a command of this Python: where its script is depends on how the package was installed."""


def text(tosa: bytes) -> str:
    """A TOSA 1.0 file as a module with one function ``main``.

    Raises RuntimeError with what tosa-opt says: every graph of ours has such a form.
    """
    with tempfile.TemporaryDirectory(prefix="tvmopt-") as folder:
        source, empty, result = (Path(folder) / name for name in ("subgraph.tosa", "empty.mlir", "subgraph.mlir"))
        source.write_bytes(tosa)
        empty.write_text("module {}")  # the pass puts the file's content in place of its input
        # Not from standard output, which has its warnings as well.
        opt("--tosa-deserialize", f"--tosa-deserialize-filename={source}", str(empty), "-o", str(result))
        return result.read_text(encoding="utf-8")


def opt(*arguments: str) -> None:
    """Run tosa-opt. Raises RuntimeError with what it says when it fails."""
    done = subprocess.run([sys.executable, "-c", _TOSA_OPT, *arguments], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"tosa-opt: {(done.stdout + done.stderr).strip()}")
