"""Layers whose output channels can only go together, since others add or multiply them one by one (residuals, SE)."""

from __future__ import annotations

import onnx_ir as ir

from .layers import Constant, Layer

_KEEP_CHANNELS = {
    "AveragePool", "BatchNormalization", "Cast", "Celu", "Clip", "DequantizeLinear", "Dropout", "Elu", "Erf", "Gelu",
    "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "MaxPool", "Mish",
    "QuantizeLinear", "Relu", "Selu", "Sigmoid", "Softplus", "Softsign", "Tanh",
}  # fmt: skip
"""Ops whose outputs have the channels of their first input, and mix none."""

_COMBINE = {"Add", "Div", "Max", "Mean", "Min", "Mul", "Pow", "Sub", "Sum"}
"""Ops that combine the channels of their inputs one by one."""


class Channels:
    """The channels of some tensors, which are those of all its layers' outputs.

    Attributes
    ----------
    layers : that compute them.
    fixed  : whether they all stay, since something has them that no layer computes.
    """

    def __init__(self, *layers: Layer, fixed: bool = False) -> None:
        self.layers = list(layers)
        self.fixed = fixed


class Coupling:
    """Which tensors of a graph have the same channels."""

    def __init__(self, graph: ir.Graph, found: list[Layer]) -> None:
        self._channels: dict[ir.Value, Channels] = {}
        layers = {layer.node: layer for layer in found}
        for node in graph:
            channels = self._given(node, layers.get(node))
            self._channels.update(dict.fromkeys(node.outputs, channels))

    def of(self, value: ir.Value | None) -> Channels:
        """The channels of a tensor; fixed ones where no layer computes it."""
        found = None if value is None else self._channels.get(value)
        return Channels(fixed=True) if found is None else found

    def _given(self, node: ir.Node, layer: Layer | None) -> Channels:
        if layer is not None and not layer.depthwise:
            if layer.groups > 1:  # as many in each
                self.of(node.inputs[0]).fixed = True
            return Channels(layer, fixed=layer.groups > 1)
        one_each = layer is not None and layer.weight.array.shape[0] == layer.groups
        if one_each or (node.op_type in _KEEP_CHANNELS and not node.domain):
            return self.of(node.inputs[0])
        if node.op_type not in _COMBINE or node.domain:
            return Channels(fixed=True)
        operands = [self.of(value) for value in node.inputs if Constant.of(value) is None]
        if node.op_type == "Mul" and not all(channels.fixed for channels in operands):
            operands = [channels for channels in operands if not channels.fixed]  # zero times anything is zero
        first, *others = operands or [Channels(fixed=True)]
        for other in others:
            self._merge(first, other)
        return first

    def _merge(self, one: Channels, other: Channels) -> None:
        if one is other:
            return
        sizes = {layer.weight.array.shape[layer.outputs_last] for layer in one.layers + other.layers}
        one.fixed |= other.fixed or len(sizes) > 1  # those of one channel are added to all
        one.layers += other.layers
        for value, channels in self._channels.items():
            if channels is other:
                self._channels[value] = one
