"""ONNX graph -> the same graph with the smallest weights of every layer set to zero."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
import onnx_ir as ir
from onnx_ir.passes.common import LiftConstantsToInitializersPass

from ..errors import UnsupportedError
from . import layers, patterns
from .config import Prune
from .coupling import Coupling
from .layers import Layer


@dataclass(frozen=True)
class Zeros:
    """Layers with constant weights, the elements of these, and how many of them are zero."""

    layers: int
    weights: int
    zero_weights: int


def zeros(model: onnx.ModelProto) -> Zeros:
    """Count the zeros of a model."""
    found = layers.find(_read(model).graph)
    masks = [layer.weight.is_zero() for layer in found]
    return Zeros(len(found), sum(mask.size for mask in masks), sum(int(mask.sum()) for mask in masks))


def prune(model: onnx.ModelProto, how: Prune) -> tuple[onnx.ModelProto, int]:
    """Prune a model; return it and the number of layers that changed.

    Weights that several nodes read are left alone.

    Raises UnsupportedError when no layer can be pruned in this pattern.
    """
    read = _read(model)
    found = layers.find(read.graph)
    eligible = _eligible(found, how)
    if how.pattern == "channels":
        changed = _prune_channels(read.graph, found, eligible, how.share)
    else:
        changed = [layer for layer in eligible if _prune_weights(layer, how)]
    return _write(read), len(changed)


def _prune_weights(layer: Layer, how: Prune) -> bool:
    """Prune in a pattern other than "channels"; return whether that changed anything."""
    squares = np.square(layer.grouped(layer.weight.real()))
    lost = layer.weight.keep(layer.ungrouped(patterns.kept(squares, how)))
    return bool(lost + (layer.weight.without_lowest() if how.pattern == "2:4" else 0))


def _prune_channels(graph: ir.Graph, found: list[Layer], eligible: list[Layer], share: float) -> list[Layer]:
    """Prune the same channels of layers whose outputs are added or multiplied; return the layers that changed."""
    coupling = Coupling(graph, found)
    mixing = {layer.node for layer in found if not layer.depthwise}
    groups = {id(group): group for group in (coupling.of(layer.node.outputs[0]) for layer in eligible)}
    dead: dict[int, np.ndarray] = {}
    changed = []
    for key, group in groups.items():
        if group.fixed or any(layer not in eligible or _reaches_output(layer.node, mixing) for layer in group.layers):
            continue
        squares = [np.square(layer.grouped(layer.weight.real())) for layer in group.layers]
        dead[key] = ~patterns.kept_channels(squares, share)
        changed += [layer for layer in group.layers if _drop_channels(layer, dead[key] & ~layer.zero_channels())]
    if not dead:
        reason = "nothing to prune: every layer computes an output, or is added to what no layer computes"
        raise UnsupportedError(reason, hint="the channels of those have to stay")
    for layer in found:
        gone = dead.get(id(coupling.of(layer.node.inputs[0]))) if layer.depthwise else None
        if gone is not None and _drop_channels(layer, gone.repeat(layer.weight.array.shape[0] // layer.groups)):
            changed.append(layer)
    return changed


def _read(model: onnx.ModelProto) -> ir.Model:
    read = ir.from_proto(model)
    LiftConstantsToInitializersPass()(read)
    return read


def _write(model: ir.Model) -> onnx.ModelProto:
    """Without the types of initializers, which onnx-ir adds and which say nothing new."""
    proto = ir.to_proto(model)
    stored = {tensor.name for tensor in proto.graph.initializer}
    others = [info for info in proto.graph.value_info if info.name not in stored]
    del proto.graph.value_info[:]
    proto.graph.value_info.extend(others)
    return proto


def _eligible(found: list[Layer], how: Prune) -> list[Layer]:
    full = [layer for layer in found if not layer.depthwise and not layer.weight.shared]
    if not full:
        hint = "weights are float, or 8-bit behind a DequantizeLinear"
        raise UnsupportedError("nothing to prune: no Conv, Gemm or MatMul has constant weights of its own", hint=hint)
    fitting = [layer for layer in full if patterns.fits(layer.grouped(layer.weight.array).shape, how)]
    if not fitting:
        raise UnsupportedError("nothing to prune: no layer's input channels (of a group) are a multiple of 4")
    return fitting


def _reaches_output(node: ir.Node, mixing: set[ir.Node]) -> bool:
    """Whether an output of the model depends on this layer, other than through further layers that mix channels."""
    waiting, seen = [node], {node}
    while waiting:
        for output in waiting.pop().outputs:
            if output.is_graph_output():
                return True
            fresh = set(output.consumers()) - mixing - seen
            waiting += fresh
            seen |= fresh
    return False


def _drop_channels(layer: Layer, dead: np.ndarray) -> int:
    """Set output channels to zero; return how many weights that changed.

    Their biases go too: zero is also what pads borders, so that a dead channel folds exactly. Channels that had no
    weights before keep their bias, which was trained.
    """
    if layer.weight.shared:
        return 0
    bias = layer.bias
    if bias is not None and not bias.shared:
        bias.keep(~dead)
    return layer.weight.keep(layer.per_output(~dead))
