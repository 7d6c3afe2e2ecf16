"""ONNX models from text, run by ONNX Runtime and, as float Relax, by TVM's virtual machine."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
import onnxruntime
import tvm
from onnx import numpy_helper, parser
from tvm import relax

from tvmopt import frontend
from tvmopt.model import Model

Feeds = Mapping[str, np.ndarray]


def model(body: str, constants: Feeds | None = None, opset: int = 13) -> onnx.ModelProto:
    """A model from ONNX's text form: ``g (inputs) => (outputs) <initializers> { nodes }``."""
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["": {opset}, "com.microsoft": 1]>\n{body}')
    proto.graph.initializer.extend(numpy_helper.from_array(array, name) for name, array in (constants or {}).items())
    return proto


def feeds(loaded: Model, seed: int = 0) -> dict[str, np.ndarray]:
    """Random inputs: normal numbers times 3, or integers over the whole range of their type."""
    rng = np.random.default_rng(seed)
    arrays = {}
    for spec in loaded.inputs:
        if spec.dtype == "bool":
            arrays[spec.name] = rng.integers(0, 2, spec.shape).astype(bool)
        elif "float" in spec.dtype:
            arrays[spec.name] = np.asarray(3 * rng.normal(size=spec.shape)).astype(spec.dtype)
        else:
            info = np.iinfo(spec.dtype)
            arrays[spec.name] = rng.integers(info.min, info.max, spec.shape, spec.dtype, endpoint=True)
    return arrays


def by_onnxruntime(proto: onnx.ModelProto, arrays: Feeds) -> list[np.ndarray]:
    """ONNX Runtime's outputs, of the graph as it is written."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return session.run(None, dict(arrays))


def by_tvm(loaded: Model, arrays: Feeds) -> list[np.ndarray]:
    """Outputs of the imported module, computed in float as it stands."""
    machine = relax.VirtualMachine(tvm.compile(loaded.mod, target="llvm"), tvm.cpu())
    result = machine["main"](*[tvm.runtime.tensor(arrays[spec.name]) for spec in loaded.inputs])
    return [value.numpy() for value in result] if len(loaded.outputs) > 1 else [result.numpy()]


def compare(proto: onnx.ModelProto, reference: onnx.ModelProto | None = None, lsb: int = 1) -> Model:
    """Import and run: as ONNX Runtime computes it, integers within ``lsb`` and floats to 5 digits.

    ``reference`` is what ONNX Runtime runs where it cannot run ``proto`` itself.
    """
    loaded = frontend.load(proto)
    arrays = feeds(loaded)
    wanted, got = by_onnxruntime(reference or proto, arrays), by_tvm(loaded, arrays)
    for spec, want, have in zip(loaded.outputs, wanted, got, strict=True):
        assert have.shape == want.shape == spec.shape
        assert have.dtype.name == want.dtype.name == spec.dtype
        difference = np.abs(have.astype(np.float64) - want.astype(np.float64)).max(initial=0)
        allowed = lsb if want.dtype.kind in "iu" else 1e-5 * max(1, np.abs(want).max(initial=0))
        assert difference <= allowed, (difference, have, want)
    return loaded


def ops(loaded: Model) -> list[str]:
    """Names of the Relax ops in ``main``, in order."""
    found: list[str] = []

    def visit(expr: relax.Expr) -> None:
        if isinstance(expr, tvm.ir.Call) and isinstance(expr.op, tvm.ir.Op):
            found.append(expr.op.name.removeprefix("relax."))

    relax.analysis.post_order_visit(loaded.mod["main"], visit)
    return found


def names(loaded: Model, op: str) -> list[str]:
    """Names of the variables that a Relax op is bound to."""
    return [
        binding.var.name
        for block in loaded.mod["main"].body.blocks
        for binding in block.bindings
        if isinstance(binding.value, tvm.ir.Call) and getattr(binding.value.op, "name", "") == f"relax.{op}"
    ]
