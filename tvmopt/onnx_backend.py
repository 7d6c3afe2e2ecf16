"""ONNX's backend interface: ``import tvmopt.onnx_backend as backend; backend.run_model(model, inputs)``.

See ``onnx.backend.base``; ONNX's conformance suite (``onnx.backend.test``) runs through it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import ModelProto, NodeProto, helper
from onnx.backend.base import Backend, BackendRep, namedtupledict

from . import api
from .errors import InputError, TvmoptError
from .runtime import Artifact


class TvmoptBackendRep(BackendRep):
    """A compiled model."""

    def __init__(self, artifact: Artifact, model: ModelProto) -> None:
        self._artifact = artifact
        # Types of fewer than 8 bits, which arrays of the artifact hold one in a byte.
        self._types = {value.name: value.type.tensor_type.elem_type for value in model.graph.output}

    def run(self, inputs: Sequence[Any] | Mapping[str, Any], **kwargs: Any) -> tuple[Any, ...]:
        """Compute the outputs, as a named tuple; ``inputs`` are arrays by position or by name.

        Raises InputError for arrays that do not fit.
        """
        specs = self._artifact.inputs
        if isinstance(inputs, Mapping):
            arrays = dict(inputs)
        elif len(inputs) == len(specs):
            arrays = {spec.name: array for spec, array in zip(specs, inputs, strict=True)}
        else:
            raise InputError(f"the model has {len(specs)} inputs, {len(inputs)} are given")
        held = {spec.name: _held(arrays[spec.name], spec.dtype) for spec in specs if spec.name in arrays}
        outputs = self._artifact.run({**arrays, **held})
        values = [array.astype(_dtype(self._types[name])) for name, array in outputs.items()]
        return namedtupledict("Outputs", list(outputs))(*values)


class TvmoptBackend(Backend):
    """Compiles for this machine's CPU, or for the target that the keyword ``target`` names."""

    @classmethod
    def prepare(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> TvmoptBackendRep:
        """Compile ``model``. Keywords: ``target``, and ``shapes`` for inputs with symbolic dimensions.

        Raises ModelError, UnsupportedError, TargetError.
        """
        loaded = api.load(model, kwargs.get("shapes"))
        return TvmoptBackendRep(api.compile(loaded, kwargs.get("target", "host")), model)

    @classmethod
    def run_model(cls, model: ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any) -> tuple[Any, ...]:
        """Compile and run once."""
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype[Any], tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """Compile and run a model of one node, in the newest opset or that of ``opset_version``.

        ``inputs`` are arrays, one for each input name; what the outputs are is inferred.
        """
        names = [name for name in node.input if name]
        given = dict(inputs) if isinstance(inputs, Mapping) else dict(zip(names, inputs, strict=True))
        arrays = {name: np.asarray(array) for name, array in given.items()}
        values = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
            for name, array in arrays.items()
        ]
        opset = kwargs.pop("opset_version", onnx.defs.onnx_opset_version())
        outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
        graph = helper.make_graph([node], "node", values, outputs)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid(node.domain, opset)])
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=True)
        return cls.run_model(inferred, arrays, device, **kwargs)

    @classmethod
    def is_compatible(cls, model: ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether ``prepare`` would not refuse it at first sight: it can be imported."""
        try:
            api.load(model, kwargs.get("shapes"))
        except TvmoptError:
            return False
        return cls.supports_device(device)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether the device is a CPU."""
        return device.split(":")[0] == "CPU"


def _held(value: Any, dtype: str) -> np.ndarray:
    array = np.asarray(value)
    narrow = array.dtype.name.removeprefix("u") in ("int2", "int4")
    return array.astype(dtype) if narrow else array


def _dtype(elem_type: int) -> np.dtype[Any]:
    return np.dtype(helper.tensor_dtype_to_np_dtype(elem_type))


is_compatible = TvmoptBackend.is_compatible
prepare = TvmoptBackend.prepare
run_model = TvmoptBackend.run_model
run_node = TvmoptBackend.run_node
supports_device = TvmoptBackend.supports_device
