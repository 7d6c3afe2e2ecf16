"""Signatures of the com.microsoft operators that are understood; the onnx package has no schemas of these.

Written from ONNX Runtime's registry (docs/ContribOperators.md, version 1 of each); a test compares them.
"""

from __future__ import annotations

from dataclasses import dataclass

DOMAIN = "com.microsoft"


@dataclass(frozen=True)
class Signature:
    """Input names in order ("?" after an optional one, "*" after the last when it repeats), and attribute names."""

    inputs: tuple[str, ...]
    attributes: frozenset[str]


def _signature(inputs: str, attributes: str = "") -> Signature:
    return Signature(tuple(inputs.split()), frozenset(attributes.split()))


_BINARY = "A A_scale A_zero_point? B B_scale B_zero_point? C_scale C_zero_point?"
_UNARY = "X X_scale X_zero_point? Y_scale Y_zero_point?"
_WINDOW = "auto_pad dilations kernel_shape pads strides"

SIGNATURES = {
    "BiasGelu": _signature("A B"),
    "DequantizeLinear": _signature("x x_scale x_zero_point?", "axis"),
    "DynamicQuantizeLSTM": _signature(
        "X W R B? sequence_lens? initial_h? initial_c? P? W_scale W_zero_point R_scale R_zero_point",
        "activation_alpha activation_beta activations clip direction hidden_size input_forget",
    ),
    "DynamicQuantizeMatMul": _signature("A B b_scale b_zero_point? bias?"),
    "FastGelu": _signature("X bias?"),
    "FusedConv": _signature("X W B? Z?", f"{_WINDOW} group activation activation_params"),
    "FusedMatMul": _signature("A B", "alpha transA transB transBatchA transBatchB"),
    "Gelu": _signature("X"),
    "MatMulIntegerToFloat": _signature("A B a_scale b_scale a_zero_point? b_zero_point? bias?"),
    "MatMulNBits": _signature(
        "A B scales zero_points? g_idx? bias?", "K N accuracy_level bits block_size weight_prepacked"
    ),
    "NhwcMaxPool": _signature("x", f"{_WINDOW} ceil_mode"),
    "QGemm": _signature(
        "A a_scale a_zero_point B b_scale b_zero_point C? y_scale? y_zero_point?", "alpha transA transB"
    ),
    "QLinearAdd": _signature(_BINARY),
    "QLinearAveragePool": _signature(
        "X x_scale x_zero_point? y_scale y_zero_point?",
        "auto_pad ceil_mode channels_last count_include_pad kernel_shape pads strides",
    ),
    "QLinearConcat": _signature("Y_scale Y_zero_point inputs*", "axis"),
    "QLinearConv": _signature(
        "x x_scale x_zero_point w w_scale w_zero_point y_scale y_zero_point B?", f"{_WINDOW} channels_last group"
    ),
    "QLinearGlobalAveragePool": _signature("X x_scale x_zero_point y_scale y_zero_point", "channels_last"),
    "QLinearLeakyRelu": _signature(_UNARY, "alpha"),
    "QLinearMul": _signature(_BINARY),
    "QLinearReduceMean": _signature(
        "data data_scale data_zero_point? reduced_scale reduced_zero_point?", "axes keepdims"
    ),
    "QLinearSigmoid": _signature(_UNARY),
    "QLinearSoftmax": _signature("X X_scale x_zero_point? y_scale y_zero_point", "axis opset"),
    "QLinearWhere": _signature("condition X x_scale x_zero_point Y y_scale y_zero_point z_scale z_zero_point"),
    "QuantizeLinear": _signature("x y_scale y_zero_point?", "axis"),
    "QuickGelu": _signature("X", "alpha"),
}
