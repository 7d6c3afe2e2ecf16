"""Elementwise float ops of Relax in numpy: what tables and folded constants are computed with.

Every op is computed in float64 and its result rounded to the dtype that Relax gives it (float32), which is
the correctly rounded float32 result of +, -, *, / and sqrt, and within half an ulp for the others.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from tvm import relax

from .scope import op_name

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _gelu_tanh(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def _selu(x: np.ndarray) -> np.ndarray:
    return 1.0507009873554805 * np.where(x > 0, x, 1.6732632423543772 * np.expm1(np.minimum(x, 0)))


def _clip(x: np.ndarray, low: np.ndarray | float, high: np.ndarray | float) -> np.ndarray:
    return np.minimum(np.maximum(x, low), high)


_OPS: dict[str, Callable[..., np.ndarray]] = {
    "abs": np.abs, "acos": np.arccos, "acosh": np.arccosh, "asin": np.arcsin, "asinh": np.arcsinh,
    "atan": np.arctan, "atanh": np.arctanh, "ceil": np.ceil, "cos": np.cos, "cosh": np.cosh, "erf": _erf,
    "exp": np.exp, "floor": np.floor, "log": np.log, "negative": np.negative, "round": np.rint,
    "rsqrt": lambda x: 1 / np.sqrt(x), "sigmoid": _sigmoid, "sign": np.sign, "sin": np.sin, "sinh": np.sinh,
    "sqrt": np.sqrt, "square": np.square, "tan": np.tan, "tanh": np.tanh, "isnan": np.isnan, "isinf": np.isinf,
    "isfinite": np.isfinite, "logical_not": np.logical_not,
    "nn.relu": lambda x: np.maximum(x, 0), "nn.relu6": lambda x: _clip(x, 0.0, 6.0),
    "nn.gelu": lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2))), "nn.gelu_tanh": _gelu_tanh,
    "nn.selu": _selu, "nn.silu": lambda x: x * _sigmoid(x),
    "add": np.add, "subtract": np.subtract, "multiply": np.multiply, "divide": np.divide, "power": np.power,
    "maximum": np.maximum, "minimum": np.minimum, "mod": np.mod, "floor_divide": np.floor_divide,
    "equal": np.equal, "not_equal": np.not_equal, "less": np.less, "less_equal": np.less_equal,
    "greater": np.greater, "greater_equal": np.greater_equal, "logical_and": np.logical_and,
    "logical_or": np.logical_or, "where": np.where, "clip": _clip,
    "nn.prelu": lambda x, slope: np.where(x > 0, x, x * slope),
}  # fmt: skip

_WITH_ATTRS: dict[str, Callable[..., np.ndarray]] = {
    "astype": lambda attrs, x: x,
    "nn.leakyrelu": lambda attrs, x: np.where(x > 0, x, x * np.float32(attrs.alpha)),
    "nn.softplus": lambda attrs, x: np.where(
        x * attrs.beta > attrs.threshold, x, np.log1p(np.exp(np.minimum(x * attrs.beta, 700))) / attrs.beta
    ),
}


def is_elementwise(call: relax.Call) -> bool:
    """Whether ``evaluate`` knows the op."""
    name = op_name(call).removeprefix("relax.")
    return name in _OPS or name in _WITH_ATTRS


def evaluate(call: relax.Call, args: list[np.ndarray]) -> np.ndarray:
    """The result of an elementwise ``call`` on arrays; its dtype is the one Relax gives the call."""
    name = op_name(call).removeprefix("relax.")
    wide = [arg.astype(np.float64) if arg.dtype.kind == "f" else arg for arg in args]
    with np.errstate(all="ignore"):
        result = _WITH_ATTRS[name](call.attrs, *wide) if name in _WITH_ATTRS else _OPS[name](*wide)
        return result.astype(str(call.ty.dtype))
