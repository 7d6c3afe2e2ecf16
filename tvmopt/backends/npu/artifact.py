"""A model for a microcontroller with an Ethos-U, and the same model run on this machine."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ...model import Model
from ...runtime.artifact import Engine
from ...runtime.library import Library
from ...runtime.simulated import Simulated
from ...target import Target
from .. import library, static_c
from ..embedded import Embedded
from ..manifest import describe
from . import deploy, facts, mlir
from .part import Part

Here = Callable[[], tuple[Model, Target]]
"""The model lowered for this machine, as which target; subgraphs are calls in both."""


def build(
    model: Model,
    target: Target,
    folder: Path,
    manifest: dict[str, Any],
    options: Embedded,
    parts: Mapping[str, Part],
    name: str,
) -> None:
    """Write a lowered model into ``folder`` as ``static_c.build`` does, and its subgraphs as ``deploy.write`` does,
    and as MLIR text where ``options`` say so.

    Raises what Vela does (see ``vela.compile``); UnsupportedError where weights or activations do not fit the target.
    """
    facts.check_memory(model, target, parts)
    told = facts.describe(model, target, parts) | facts.compiled(parts)
    external = deploy.work(parts)
    made = static_c.build(model, target, folder, manifest | {"accelerator": told}, options, external, name)
    if parts:
        deploy.write(made, parts, folder)
    if options.emit == "tosa-mlir":
        for name, part in parts.items():
            (folder / f"{name}.mlir").write_text(mlir.text(part.graph.serialize()), encoding="utf-8")


class OnThisMachine:
    """A model whose subgraphs the TOSA reference model computes, and its host's part this machine, once it runs.

    Attributes
    ----------
    manifest : of the artifact that it stands for.
    inputs, outputs : specs, in order.
    """

    def __init__(self, model: Model, here: Here, parts: Mapping[str, Part], manifest: dict[str, Any]) -> None:
        self.inputs, self.outputs, self.manifest = model.inputs, model.outputs, manifest
        self._here, self._parts = here, parts
        self._lock = threading.Lock()

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the outputs; they are new arrays. Raises what ``Library.run`` does."""
        with self._lock:
            engine = self._engine
        return engine.run(inputs)

    @cached_property
    def _engine(self) -> Engine:
        model, machine = self._here()
        with tempfile.TemporaryDirectory(prefix="tvmopt-") as folder:
            path = Path(folder) / "model.so"
            path.write_bytes(library.build(model, machine, describe(model, machine, 1) | {"backend": "library"}))
            loaded = Library(path)
        return Simulated(loaded, [part.simulated() for part in self._parts.values()]) if self._parts else loaded
