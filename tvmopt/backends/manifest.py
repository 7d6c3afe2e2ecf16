"""What an artifact tells of itself: where it comes from, what it is for, what goes in and out."""

from __future__ import annotations

import json
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..model import Model
from ..target import Target

FORMAT = 1
"""Version of the manifest's keys."""


def describe(model: Model, target: Target, threads: int) -> dict[str, Any]:
    """The manifest of ``model``, lowered for ``target``: plain data, as JSON has it."""
    return {
        "format": FORMAT,
        "source": model.source,
        "sha256": model.sha256,
        "target": target.name,
        "mtriple": target.llvm.mtriple,
        "mcpu": target.llvm.mcpu,
        "mattr": list(target.llvm.mattr),
        "requantize": target.requantize,
        "threads": threads,
        "versions": {name: version(name) for name in ("tvmopt", "apache-tvm")},
        "inputs": [asdict(spec) for spec in model.inputs],
        "outputs": [asdict(spec) for spec in model.outputs],
        "constants": list(model.constants),
        "tuned": list(model.tuned),
        "history": [asdict(record) for record in model.history],
    }


def written(folder: Path, name: str) -> dict[str, Any]:
    """The manifest of a model that was written into ``folder`` as C, under its name there."""
    manifest: dict[str, Any] = json.loads((folder / f"{name}_manifest.json").read_text(encoding="utf-8"))
    return manifest
