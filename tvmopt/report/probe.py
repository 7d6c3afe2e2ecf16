"""Open a model up for a comparison tensor by tensor.

``tap`` makes every quantized tensor an output, to learn what ONNX Runtime computes. ``cut`` goes further:
tensor -> output of its producer, and a fresh input of its consumers. Fed with ONNX Runtime's tensors, every
region between two quantized tensors is then checked by itself, and no difference hides or causes another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from . import graph

QUANTIZED = ("tensor(int8)", "tensor(uint8)", "tensor(int16)", "tensor(uint16)")
_BOUNDARIES = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "Constant")
_OPS_SHOWN = 6


@dataclass(frozen=True)
class Tap:
    """A quantized tensor: its name, and the ops that compute it from other quantized tensors ("Conv+Relu")."""

    name: str
    op: str


def load(path: Path) -> ir.Model:
    """Read an ONNX file with its external data in memory."""
    model = ir.load(path)
    return ir.external_data.load_to_model(model)


def taps(model: ir.Model, types: Mapping[str, str]) -> list[Tap]:
    """All quantized tensors that depend on an input, in graph order; ``types`` as ONNX Runtime infers them."""
    values = [value for value in graph.dependent(model.graph) if types.get(str(value.name)) in QUANTIZED]
    names = {str(value.name) for value in values}
    return [Tap(str(value.name), _ops(value, names)) for value in values]


def all_tapped(model: ir.Model) -> onnx.ModelProto:
    """The model with every tensor an output: good for learning types, not for running fast."""
    return _with_outputs(model, [str(value.name) for value in graph.dependent(model.graph)])


def tapped(model: ir.Model, tensors: list[Tap]) -> onnx.ModelProto:
    """The model with ``tensors`` as outputs, after its own."""
    return _with_outputs(model, [tensor.name for tensor in tensors])


def cut(model: ir.Model, tensors: Mapping[str, np.ndarray]) -> tuple[onnx.ModelProto, dict[str, str]]:
    """Cut the model at ``tensors``, whose values give dtype and shape.

    Returns the cut model, whose outputs are the tensors in the given order, and the name of the fresh input
    that feeds each tensor's consumers, where it has any.
    """
    opened = model.clone()
    values = {value.name: value for value in graph.dependent(opened.graph)}
    fed: dict[str, ir.Value] = {}
    for index, (name, array) in enumerate(tensors.items()):
        value = values[name]
        value.type, value.shape = ir.TensorType(ir.DataType.from_numpy(array.dtype)), ir.Shape(array.shape)
        fed[name] = ir.Value(name=f"tvmopt_fed_{index}", type=value.type, shape=value.shape)
        for node, position in tuple(value.uses()):
            node.replace_input_with(position, fed[name])
    opened.graph.outputs[:] = [values[name] for name in tensors]
    RemoveUnusedNodesPass()(opened)
    used = {name: value for name, value in fed.items() if value.uses()}
    opened.graph.inputs.extend(used.values())
    return ir.to_proto(opened), {name: str(value.name) for name, value in used.items()}


def _with_outputs(model: ir.Model, names: list[str]) -> onnx.ModelProto:
    proto = ir.to_proto(model)
    present = {output.name for output in proto.graph.output}
    # ONNX Runtime infers the type of an output that states none.
    proto.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names if name not in present)
    return proto


def _ops(value: ir.Value, quantized: set[str]) -> str:
    """The ops from the nearest quantized tensors to ``value``, in graph order, without the (de)quantizing ones."""
    found, pending = {value.producer()}, [value.producer()]
    while pending:
        for source in pending.pop().inputs:
            node = None if source is None else source.producer()
            if node is not None and node not in found and not any(out.name in quantized for out in node.outputs):
                found.add(node)
                pending.append(node)
    assert value.graph is not None
    names = [node.op_type for node in value.graph if node in found]
    ops = [name for name in names if name not in _BOUNDARIES] or names[-1:]
    return "+".join(ops if len(ops) <= _OPS_SHOWN else ["...", *ops[-_OPS_SHOWN:]])
