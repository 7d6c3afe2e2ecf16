"""What the functions of this package share."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING

from ..abi import MOST_THREADS
from ..errors import InputError, InternalError, TvmoptError
from ..model import Model

if TYPE_CHECKING:
    import onnx

    from ..passes.pipeline import Io
    from ..quant.regions import Requantize
    from ..report.samples import Samples
    from ..target import Target

    Source = str | PathLike[str] | bytes | onnx.ModelProto

log = logging.getLogger("tvmopt.api")


def name_of(source: Source) -> str:
    """A model's file, for messages."""
    return str(source) if isinstance(source, str | PathLike) else "<memory>"


def bound_shapes(model: Model) -> dict[str, list[int]]:
    """The shapes of the inputs without symbolic dimensions."""
    fixed = [spec for spec in model.inputs if not any(isinstance(dim, str) for dim in spec.shape)]
    return {spec.name: [int(dim) for dim in spec.shape] for spec in fixed}


@contextmanager
def onnx_file(model: Model) -> Iterator[Path]:
    """The ONNX file of a model, which other runtimes read for themselves; a temporary one if it came from memory, or
    if some of its inputs were made constants."""
    if model.memory is None and not Path(model.source).is_file():
        raise InputError("the model has no ONNX file for ONNX Runtime to read", file=model.source)
    if model.memory is None and not model.constants:
        yield Path(model.source)
        return
    with tempfile.TemporaryDirectory(prefix="tvmopt-") as folder:
        path = Path(folder) / "model.onnx"
        _write(model, path)
        try:
            yield path
        except TvmoptError as error:
            error.file = model.source if error.file == str(path) else error.file
            raise


def _write(model: Model, path: Path) -> None:
    import onnx

    from ..frontend import constants

    if model.memory is not None and not model.constants:
        path.write_bytes(model.memory)
        return
    proto = onnx.load(model.source) if model.memory is None else onnx.ModelProto.FromString(model.memory)
    onnx.save(constants.fixed(proto, model.constants), path, save_as_external_data=True, location="weights")


def samples_of(model: Model, path: Path, data: Path | None, count: int) -> Samples:
    """Inputs to compare results on, from a file, or so many random ones; ``path`` is the model's ONNX file."""
    from .. import frontend
    from ..report import graph, samples

    frontend.require_static(model)
    ranges = graph.input_ranges(path)
    if data is None:
        return samples.random(model.inputs, ranges, count)
    return samples.read(data, model.inputs, ranges)


def grouped(model: Model, target: Target | None, sparsity: bool, io: Io = "onnx") -> Model:
    """An imported model with its int8 regions in the arithmetic of a target, in float32's without one."""
    from ..passes import pipeline

    requantize: Requantize = "float" if target is None else target.requantize
    softmax: Requantize = "float" if target is None else target.softmax
    borders = target is None or (target.accelerator is None and target.cuda is None)
    with stage("optimizing", model.source):
        return pipeline.run(model, sparsity=sparsity, io=io, requantize=requantize, borders=borders, softmax=softmax)


def check_threads(threads: int) -> None:
    """Raises InputError for a number of threads that no artifact can have."""
    if not 1 <= threads <= MOST_THREADS:
        raise InputError(f"threads is {threads}, not 1 to {MOST_THREADS}")


@contextmanager
def stage(doing: str, file: str) -> Iterator[None]:
    """Log what is done with a file; whatever goes wrong is an error of the user's, or an InternalError that says so."""
    log.info("%s %s", doing, file)
    try:
        yield
    except (TvmoptError, InternalError):
        raise
    except Exception as error:
        raise InternalError(doing, file, error) from error
