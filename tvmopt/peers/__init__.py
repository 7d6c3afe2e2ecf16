"""Other runtimes: ONNX Runtime is what results are checked against, and all of them are raced in ``bench``.

A peer is a module with ``runner(model, feeds, threads)``: it loads an ONNX file and returns a function that
runs one inference. It raises ``Refused`` where it is not installed or cannot run the model.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

Feeds = Mapping[str, "np.ndarray"]
"""One array per input of the model."""

Runner = Callable[[], object]
"""Runs one inference on arrays that were fixed before."""

_MODULES = {"onnxruntime": "onnxruntime", "tvm": "stock_tvm", "openvino": "openvino", "litert": "litert"}

NAMES = tuple(_MODULES)
"""Peers that can be asked for."""


class Refused(Exception):
    """A peer does not run this model here; the message is the status that a report shows."""


def runner(peer: str, model: Path, feeds: Feeds, threads: int) -> Runner:
    """Prepare ``peer`` to run ``model`` on ``feeds`` with its best public settings and ``threads`` threads."""
    module = importlib.import_module(f"{__name__}.{_MODULES[peer]}")
    prepared: Runner = module.runner(model, feeds, threads)
    return prepared


def first_line(error: BaseException) -> str:
    """What an exception says, short enough for a table."""
    text = str(error).strip() or type(error).__name__
    return text.splitlines()[0][:300]
