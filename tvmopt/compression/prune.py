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
from .coupling import FIXED, Coupling
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
    """Prune channels that can go, together with those that they are added to; return the layers that changed."""
    coupling = Coupling(graph, found)
    mixing = {layer.node for layer in found if not layer.depthwise}
    for layer in found:
        if not layer.depthwise and (layer not in eligible or _reaches_output(layer.node, mixing)):
            coupling.fix(layer.node.outputs[0])
    numbers = {layer.node: coupling.of(layer) for layer in found}
    free = [layer for layer in eligible if numbers[layer.node].any()]
    if not free:
        reason = "nothing to prune: every layer computes an output, or is added to what no layer computes"
        raise UnsupportedError(reason, hint="the channels of those have to stay")
    kept = {FIXED}
    for group in _joined(free, numbers):
        may_go = [numbers[layer.node] != FIXED for layer in group]
        norms = [patterns.channel_norms(np.square(layer.grouped(layer.weight.real()))) for layer in group]
        kept |= patterns.kept_channels(
            [numbers[layer.node][mask] for layer, mask in zip(group, may_go, strict=True)],
            [norm[mask] for norm, mask in zip(norms, may_go, strict=True)],
            share,
        )
    changed = []
    for layer in found:
        dead = ~np.isin(numbers[layer.node], list(kept))
        if _drop_channels(layer, dead if layer.depthwise else dead & ~layer.zero_channels()):
            changed.append(layer)
    return changed


def _joined(free: list[Layer], numbers: dict[ir.Node, np.ndarray]) -> list[list[Layer]]:
    """The layers in sets of those that have channels in common."""
    groups: list[tuple[set[int], list[Layer]]] = []
    for layer in free:
        channels, members = set(numbers[layer.node].tolist()) - {FIXED}, [layer]
        for group in [group for group in groups if group[0] & channels]:
            groups.remove(group)
            channels, members = channels | group[0], group[1] + members
        groups.append((channels, members))
    return [members for _, members in groups]


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
