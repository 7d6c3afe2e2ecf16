"""The activations that recurrent operators name, as operators of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import onnx_ir as ir

from ...errors import ModelError, UnsupportedError
from .builder import Builder

Function = Callable[[ir.Value], ir.Value]

_DEFAULTS = {
    "LSTM": ("Sigmoid", "Tanh", "Tanh"), "DynamicQuantizeLSTM": ("Sigmoid", "Tanh", "Tanh"),
    "GRU": ("Sigmoid", "Tanh"), "RNN": ("Tanh",),
}  # fmt: skip
_OPERATORS = (
    "Elu", "HardSigmoid", "LeakyRelu", "Relu", "Sigmoid", "Softplus", "Softsign", "Tanh", "ThresholdedRelu",
)  # fmt: skip
_COMPOSED = ("Affine", "ScaledTanh")
"""Activations that ONNX has operators for, and those that it has none for."""

_ALPHA = {"Affine": 1.0, "Elu": 1.0, "HardSigmoid": 0.2, "LeakyRelu": 0.01, "ScaledTanh": 1.0, "ThresholdedRelu": 1.0}
_BETA = {"Affine": 0.0, "HardSigmoid": 0.5, "ScaledTanh": 1.0}
"""Parameters of those that have some, by default."""


def activations(to: Builder, directions: int) -> list[list[Function]]:
    """For each direction of an LSTM, GRU or RNN its activations. Those of gates clip their input where the node says
    so; an LSTM's last, of the cell's state, does not, as in ONNX Runtime.

    Raises UnsupportedError for an activation that ONNX does not name, ModelError for too many or too few.
    """
    attributes = to.node.attributes
    names = list(attributes.get_strings("activations", _DEFAULTS[to.node.op_type] * directions))
    alphas, betas = (iter(attributes.get_floats(f"activation_{name}", ())) for name in ("alpha", "beta"))
    clip = attributes.get_float("clip", 0.0)
    count = len(_DEFAULTS[to.node.op_type])
    clips = [clip if number % count < 2 else 0.0 for number in range(len(names))]
    functions = [_function(to, name, alphas, betas, most) for name, most in zip(names, clips, strict=True)]
    if len(functions) != count * directions:
        raise ModelError(f"{to.node.op_type} has {len(names)} activations, not {count * directions}", node=to.node.name)
    return [functions[first : first + count] for first in range(0, len(functions), count)]


def _function(to: Builder, name: str, alphas: Iterator[float], betas: Iterator[float], clip: float) -> Function:
    """An activation; those that have parameters take the next ones of the node's."""
    known = {operator.lower(): operator for operator in (*_OPERATORS, *_COMPOSED)}
    op_type = known.get(name.lower())
    if op_type is None:
        raise UnsupportedError(f"activation {name} of {to.node.op_type} is not supported", node=to.node.name)
    parameters: dict[str, Any] = {}
    if op_type in _ALPHA:
        parameters["alpha"] = next(alphas, _ALPHA[op_type])
    if op_type in _BETA:
        parameters["beta"] = next(betas, _BETA[op_type])

    def number(value: float) -> ir.Value:
        return to.filled(value, (), like=to.input(0))

    def apply(x: ir.Value) -> ir.Value:
        if clip > 0:
            x = to.op("Min", to.op("Max", x, number(-clip)), number(clip))
        if op_type == "Affine":
            return to.op("Add", to.op("Mul", x, number(parameters["alpha"])), number(parameters["beta"]))
        if op_type == "ScaledTanh":
            return to.op("Mul", to.op("Tanh", to.op("Mul", x, number(parameters["beta"]))), number(parameters["alpha"]))
        return to.op(op_type, x, **parameters)

    return apply
