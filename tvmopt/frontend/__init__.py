"""ONNX -> Model: read, check, normalize to one QDQ form, import."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Any

from ..errors import TvmoptError, UnsupportedError
from ..model import Model
from . import binding

if TYPE_CHECKING:
    import onnx


def load(
    source: str | PathLike[str] | bytes | onnx.ModelProto,
    shapes: Mapping[str, Sequence[int]] | None = None,
    constants: Mapping[str, Any] | None = None,
) -> Model:
    """Load an ONNX model: a file, its bytes, or a ModelProto.

    ``shapes`` gives inputs their shapes, {"input": (1, 3, 224, 224)}; dimensions that stay symbolic are
    strings in the model's specs (``require_static`` refuses them). ``constants`` gives inputs their values,
    {"sr": 16000}: numbers or arrays; these are inputs no longer.

    Raises ModelError for an invalid model, UnsupportedError for a valid one that cannot be imported,
    InputError for shapes or values that do not fit it. Each names the file and, where there is one, the node.
    """
    import onnx

    from .pipeline import load_source

    file = "<memory>" if isinstance(source, bytes | onnx.ModelProto) else str(source)
    try:
        return load_source(source, shapes or {}, constants or {}).replace(source=file)
    except TvmoptError as error:
        error.file = error.file or file
        raise


def require_static(model: Model) -> None:
    """Raise UnsupportedError, saying how to bind them, when inputs have symbolic dimensions."""
    for spec in model.inputs:
        if any(isinstance(dim, str) for dim in spec.shape):
            raise UnsupportedError(
                f"input '{spec.name}' has unbound dimensions: ({', '.join(map(str, spec.shape))})",
                file=model.source,
                hint=binding.hint(spec.name, spec.shape),
            )
