"""Reading Relax expressions: what a variable is bound to, constants, and quantized tensors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import tvm
from tvm import relax
from tvm.ir import GenericConst
from tvm.relax import Expr, Var

from ..params import QParams
from ..regions import Region


class Unfit(Exception):
    """An expression is not an int8 region; the message says why, for a person who reads ``inspect``."""


@dataclass(frozen=True)
class Quantized:
    """A quantized tensor under an ``R.dequantize``.

    Attributes
    ----------
    tensor : the variable or constant of dtype ``params.dtype``.
    params : scale and zero point; None when they are computed at run time.
    scale, zero_point : the expressions they come from.
    """

    tensor: Expr
    params: QParams | None
    scale: Expr
    zero_point: Expr


@dataclass(frozen=True)
class Match:
    """A region found in a graph, and the tensors it is applied to, in the order of its parameters."""

    region: Region
    inputs: tuple[Expr, ...]


class Scope:
    """The variables that an expression may refer to, and what they are bound to."""

    def __init__(self, bindings: dict[Var, Expr]) -> None:
        self.bindings = bindings

    @staticmethod
    def of(function: relax.Function) -> Scope:
        """The variables bound in a function's body."""
        return Scope(
            {
                b.var: b.value
                for block in function.body.blocks
                for b in block.bindings
                if isinstance(b, relax.VarBinding)
            }
        )

    def value(self, expr: Expr) -> Expr:
        """What ``expr`` stands for: variables are followed to the expression that computes them."""
        while isinstance(expr, Var) and expr in self.bindings:
            expr = self.bindings[expr]
        return expr

    def call(self, expr: Expr, *ops: str) -> relax.Call | None:
        """The call of one of ``ops`` that computes ``expr``, or None."""
        value = self.value(expr)
        return value if isinstance(value, relax.Call) and op_name(value) in ops else None

    def constant(self, expr: Expr) -> np.ndarray | None:
        """The array that ``expr`` is, when it is a constant."""
        value = self.value(expr)
        return value.value.numpy() if isinstance(value, GenericConst) else None

    def scalar(self, expr: Expr) -> float | None:
        """The number that ``expr`` is, when it is a constant of one element."""
        array = self.constant(expr)
        return float(array.reshape(())) if array is not None and array.size == 1 else None

    def quantized(self, expr: Expr) -> Quantized | None:
        """The quantized tensor whose dequantized value ``expr`` is, or None."""
        call = self.call(expr, "relax.dequantize")
        if call is None:
            return None
        tensor, scale, zero_point = call.args
        return Quantized(tensor, self.params(call, tensor), scale, zero_point)

    def params(self, call: relax.Call, tensor: Expr) -> QParams | None:
        """Parameters of an ``R.quantize`` or ``R.dequantize``; ``tensor`` is its operand (for the rank)."""
        scale, zero_point = (self.constant(arg) for arg in call.args[1:3])
        if scale is None or zero_point is None:
            return None
        if scale.dtype != np.float32:
            raise Unfit(f"its scale is {scale.dtype}, not float32")
        if scale.size == 1 and zero_point.size == 1:
            return QParams(scale.reshape(()), zero_point.reshape(()))
        scale, zero_point = (np.array(array) for array in np.broadcast_arrays(scale, zero_point))
        return QParams(scale, zero_point, int(call.attrs.axis) % tensor.ty.ndim)

    def activation(self, expr: Expr) -> tuple[Var, QParams]:
        """The 8-bit tensor, quantized per tensor, whose dequantized value ``expr`` is; Unfit says why not."""
        found = self.quantized(expr)
        if found is None:
            raise Unfit(f"its input {self.describe(expr)} is float")
        if found.params is None:
            raise Unfit("its input's scale is computed at run time")
        if not is_8bit(found.params.dtype):
            raise Unfit(f"its input is quantized to {found.params.dtype}, not to 8 bits")
        if found.params.axis is not None:
            raise Unfit("its input is quantized per channel")
        if not isinstance(found.tensor, Var):
            raise Unfit("its input is a constant")
        return found.tensor, found.params

    def weight(self, expr: Expr, any_scale: bool = False) -> tuple[np.ndarray, QParams]:
        """The 8-bit constant whose dequantized value ``expr`` is, with positive scales; Unfit says why not.

        any_scale : as it is, whatever its scale.
        """
        found = self.quantized(expr)
        if found is None:
            raise Unfit("its weight is float" if self.constant(expr) is not None else "its weight is computed")
        array = self.constant(found.tensor)
        if array is None or found.params is None:
            raise Unfit("its weight is computed")
        if not is_8bit(found.params.dtype):
            raise Unfit(f"its weight is quantized to {found.params.dtype}, not to 8 bits")
        if any_scale or (found.params.scale > 0).all():
            return array, found.params
        if not found.params.scale.all():
            raise Unfit("its weight has a scale that is zero")
        return found.params.positive(array)

    def describe(self, expr: Expr) -> str:
        """A name for ``expr`` that a user knows: the ONNX value it carries."""
        return f"'{expr.name}'" if isinstance(expr, Var) else "a constant"


def op_name(call: relax.Call) -> str:
    """Name of the operator or function that is called."""
    return str(getattr(call.op, "name", None) or call.op.name_hint)


def static_shape(type_: relax.Type) -> tuple[int, ...] | None:
    """A tensor's shape when it has no symbolic dimension."""
    shape = getattr(type_, "shape", None)
    if not isinstance(shape, relax.ShapeExpr) or not all(hasattr(size, "value") for size in shape):
        return None
    return tuple(int(size) for size in shape)


def ints(values: Expr) -> tuple[int, ...]:
    """Numbers of an attribute or of a static shape."""
    return tuple(int(value) for value in values)


def is_8bit(dtype: np.dtype) -> bool:
    """Whether regions compute on tensors of this dtype."""
    return dtype in (np.int8, np.uint8)


def constant(array: np.ndarray) -> GenericConst:
    """``array`` with the dtype it has; ``relax.const`` alone narrows int64 and float64."""
    return relax.const(tvm.runtime.tensor(np.asarray(array)))
