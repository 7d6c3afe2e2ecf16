"""Channels that can only go together, since they are added or multiplied (residuals, squeeze and excitation)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from .layers import Constant, Layer

_KEEP_CHANNELS = {
    "AveragePool", "BatchNormalization", "Cast", "Celu", "Clip", "DequantizeLinear", "Dropout", "Elu", "Erf", "Gelu",
    "GlobalAveragePool", "GlobalMaxPool", "HardSigmoid", "HardSwish", "Identity", "LeakyRelu", "MaxPool", "Mish",
    "QuantizeLinear", "Relu", "Resize", "Selu", "Sigmoid", "Softplus", "Softsign", "Tanh",
}  # fmt: skip
"""Ops whose outputs have the channels of their first input, and mix none."""

_COMBINE = {"Add", "Div", "Max", "Mean", "Min", "Mul", "Pow", "Sub", "Sum"}
"""Ops that combine the channels of their inputs one by one."""

FIXED = 0
"""The number of channels that have to stay."""


@dataclass(frozen=True)
class _Channels:
    """Of a tensor: the axis they are on, and a number for each; equal ones are one channel."""

    axis: int
    numbers: np.ndarray


class Coupling:
    """Which channels of the outputs of a graph's layers are the same, followed op by op."""

    def __init__(self, graph: ir.Graph, found: list[Layer]) -> None:
        self._same = [FIXED]  # for each number one that it is the same as, its own if it is the least
        self._known: dict[ir.Value, _Channels] = {}
        layers = {layer.node: layer for layer in found}
        for node in graph:
            if node in layers:
                self._known[node.outputs[0]] = self._computed(layers[node])
            elif not node.domain:
                self._known.update(self._through(node))

    def of(self, layer: Layer) -> np.ndarray:
        """A layer's outputs: int [channels], equal where they can only go together, ``FIXED`` where they stay."""
        return np.array([self._least(number) for number in self._known[layer.node.outputs[0]].numbers])

    def fix(self, value: ir.Value | None) -> None:
        """Let all channels of a tensor stay."""
        for number in () if value not in self._known else self._known[value].numbers:
            self._tie(number, FIXED)

    def _least(self, number: int) -> int:
        while self._same[number] != number:
            number = self._same[number]
        return number

    def _tie(self, one: int, other: int) -> None:
        first, second = sorted((self._least(one), self._least(other)))
        self._same[second] = first

    def _computed(self, layer: Layer) -> _Channels:
        x = layer.node.inputs[0]
        outputs = layer.weight.array.shape[layer.outputs_last]
        if layer.depthwise and x in self._known:
            return _Channels(1, self._known[x].numbers.repeat(outputs // layer.groups))
        if layer.groups > 1:  # as many in each
            self.fix(x)
            return _Channels(1, np.full(outputs, FIXED))
        numbers = np.arange(len(self._same), len(self._same) + outputs)
        self._same += numbers.tolist()
        return _Channels(1 if layer.node.op_type == "Conv" else -1, numbers)

    def _through(self, node: ir.Node) -> Iterator[tuple[ir.Value, _Channels]]:
        """The channels of a node's outputs, as far as they are known."""
        known = [self._known.get(value) for value in node.inputs if value is not None]
        x = self._combined(node) if node.op_type in _COMBINE else known[0] if known else None
        if x is None:
            return
        axis = node.attributes.get_int("axis", 0)
        if node.op_type in _KEEP_CHANNELS or node.op_type in _COMBINE:
            yield node.outputs[0], x
        elif node.op_type == "Split" and axis == x.axis:
            for output, numbers in zip(node.outputs, _parts(node, x.numbers), strict=False):
                yield output, _Channels(axis, numbers)
        elif node.op_type == "Concat":
            parts = [part.numbers for part in known if part is not None and part.axis == axis]
            if len(parts) == len(known):
                yield node.outputs[0], _Channels(axis, np.concatenate(parts))

    def _combined(self, node: ir.Node) -> _Channels | None:
        operands = [value for value in node.inputs if value is not None and Constant.of(value) is None]
        found = [self._known[value] for value in operands if value in self._known]
        several = [x for x in found if len(x.numbers) > 1]  # one is added to all
        alike = len({(x.axis, len(x.numbers)) for x in several}) == 1
        if alike and (len(found) == len(operands) or node.op_type == "Mul"):  # zero times anything is zero
            for same in zip(*(x.numbers for x in several), strict=True):
                for other in same[1:]:
                    self._tie(same[0], other)
            return several[0]
        for value in operands:
            self.fix(value)
        return None


def _parts(node: ir.Node, numbers: np.ndarray) -> list[np.ndarray]:
    """What a Split along the channels makes of them."""
    stored = node.inputs[1].const_value if len(node.inputs) > 1 and node.inputs[1] is not None else None
    sizes = node.attributes["split"].as_ints() if "split" in node.attributes else ()
    sizes = sizes if stored is None else stored.numpy().tolist()
    each = -(-len(numbers) // len(node.outputs))
    return np.split(numbers, np.cumsum(sizes)[:-1] if len(sizes) else range(each, len(numbers), each))
