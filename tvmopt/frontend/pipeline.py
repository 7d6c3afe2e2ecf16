"""The frontend's stages in order."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes import Sequential, common

from ..errors import ModelError, TvmoptError
from ..model import Model
from . import constants, operators, shapes, specs, structure
from .importer import Importer
from .normalize import normalize
from .read import read


def load_source(
    source: str | PathLike[str] | bytes | onnx.ModelProto, bound: Mapping[str, Sequence[int]], given: Mapping[str, Any]
) -> Model:
    """Read, check, bind, normalize and import; see ``frontend.load``."""
    with _checking():
        file = read(source)
        structure.check(file.proto)
        model = ir.from_proto(file.proto)
        if file.folder is not None:
            ir.external_data.set_base_dir(model.graph, file.folder)
        output_names = [str(value.name) for value in model.graph.outputs]
        _prepare(model)
        operators.check(model)
        model.opset_imports.setdefault("", onnx.defs.onnx_opset_version())
        values = constants.arrays(model, given, bound)
        shapes.bind(model, {**bound, **{name: array.shape for name, array in values.items()}})
        constants.fix(model, values)
        shapes.infer(model, strict=True)
    with np.errstate(all="ignore"):  # what is not a number is found by checks, not by warnings
        normalize(model)
    mod = Importer(model).run()
    inputs = specs.of_inputs(model.graph, mod)
    outputs = specs.of_outputs(model.graph, mod, output_names)
    return Model(mod, inputs, outputs, sha256=file.sha256, memory=file.memory, constants=values)


@contextmanager
def _checking() -> Iterator[None]:
    """What the onnx packages stumble over, before anything is made of the model, is wrong with the model."""
    try:
        yield
    except TvmoptError:
        raise
    except Exception as error:
        cause: BaseException = error
        while cause.__cause__ is not None:
            cause = cause.__cause__
        lines = str(cause).splitlines() or [type(cause).__name__]
        raise ModelError(f"it is damaged, or is no valid ONNX: {lines[0].rstrip('.')}") from error


def _prepare(model: ir.Model) -> None:
    """Functions inlined, constants in one place, nodes in order and each with a name."""
    Sequential(
        common.InlinePass(),
        common.TopologicalSortPass(),
        common.RemoveInitializersFromInputsPass(),
    )(model)
    for node in model.graph.all_nodes():
        first = next((value.name for value in node.outputs if value.name), "")
        node.name = node.name or f"{node.op_type}:{first}"
