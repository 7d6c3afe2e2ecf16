"""LiteRT with XNNPACK. It reads .tflite files only: for an ONNX model, the one of the same name beside it, or in the
folder that TVMOPT_TFLITE names."""

from __future__ import annotations

import os
from pathlib import Path

from . import Feeds, Refused, Runner, first_line


def runner(model: Path, feeds: Feeds, threads: int) -> Runner:
    """See ``tvmopt.peers``. Inputs are matched by position."""
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError:
        raise Refused("not installed") from None
    beside = model.with_suffix(".tflite")
    tflite = beside if beside.is_file() else Path(os.environ.get("TVMOPT_TFLITE", model.parent), beside.name)
    if not tflite.is_file():
        raise Refused("needs a .tflite file of the same name, beside the model or under TVMOPT_TFLITE")
    try:
        interpreter = Interpreter(model_path=str(tflite), num_threads=threads)
        interpreter.allocate_tensors()
        for detail, array in zip(interpreter.get_input_details(), feeds.values(), strict=True):
            interpreter.set_tensor(detail["index"], array.astype(detail["dtype"]).reshape(detail["shape"]))
        interpreter.invoke()
    except Exception as error:
        raise Refused(f"refused: {first_line(error)}") from None
    return interpreter.invoke
