"""Elementwise float ops of one quantized tensor, as a table of 256 values."""

from __future__ import annotations

import numpy as np
import tvm_ffi
from tvm import relax
from tvm.ir import GenericConst

from ..params import QParams
from ..reference import dequantize
from ..regions import Table
from .evaluate import evaluate, is_elementwise
from .scope import Expr, Scope, Unfit, Var, op_name


def read_table(value: Expr, y: QParams, scope: Scope) -> tuple[Table, tuple[Var, ...]]:
    """Read ``quantize(value)`` as a table; Unfit when value is not elementwise in one 8-bit tensor."""
    return _Reader(scope).read(value, y)


class _Reader:
    """Evaluates an expression for all 256 values of the one quantized tensor it depends on."""

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.tensor: Var | None = None
        self.params: QParams | None = None
        self.ops: list[str] = []
        self.done: dict[Var, np.ndarray] = {}

    def read(self, value: Expr, y: QParams) -> tuple[Table, tuple[Var, ...]]:
        values = self.evaluate(value)
        if self.tensor is None or self.params is None:
            raise Unfit("it depends on no quantized input")
        if not tvm_ffi.structural_equal(value.ty.shape, self.tensor.ty.shape):
            raise Unfit("a constant changes its input's shape")
        return Table(self.params, y, _quantize(values, y), tuple(self.ops)), (self.tensor,)

    def evaluate(self, expr: Expr) -> np.ndarray:
        if isinstance(expr, Var) and expr in self.done:
            return self.done[expr]
        result = self._evaluate(expr)
        if isinstance(expr, Var):
            self.done[expr] = result
        return result

    def _evaluate(self, expr: Expr) -> np.ndarray:
        value = self.scope.value(expr)
        if isinstance(value, GenericConst):
            array = value.value.numpy()
            if array.size != 1:
                raise Unfit("one of its operands is a float constant with more than one element")
            return array.reshape(())
        if isinstance(value, relax.Call):
            if op_name(value) == "relax.dequantize":
                return self.leaf(expr)
            if op_name(value) == "relax.take":
                return self.take(value)
            if is_elementwise(value):
                args = [self.argument(arg) for arg in value.args]
                self.ops.append(op_name(value).removeprefix("relax.").removeprefix("nn."))
                return evaluate(value, args)
            raise Unfit(f"{op_name(value).removeprefix('relax.')} has no int8 form")
        raise Unfit(f"its input {self.scope.describe(expr)} is float")

    def argument(self, arg: Expr) -> np.ndarray:
        if isinstance(arg.ty, relax.TensorType):
            return self.evaluate(arg)
        return np.asarray(arg.value, np.float64)  # bounds of clip

    def take(self, call: relax.Call) -> np.ndarray:
        """A lookup in a constant, as ``write`` makes one for a table that stands for no float op."""
        data = self.scope.constant(call.args[0])
        if data is None or data.ndim != 1:
            raise Unfit("take has no int8 form")
        index = self.evaluate(call.args[1])
        self.ops.append("take")
        return data[np.clip(index, 0, len(data) - 1)]

    def leaf(self, expr: Expr) -> np.ndarray:
        found = self.scope.quantized(expr)
        assert found is not None
        if isinstance(found.tensor, GenericConst):
            array, params = self.scope.weight(expr)
            if array.size != 1:
                raise Unfit("one of its operands is a constant with more than one element")
            return dequantize(array, params).reshape(())
        tensor, params = self.scope.activation(expr)
        if self.tensor is None:
            self.tensor, self.params = tensor, params
        elif self.tensor != tensor or not params.same(self.params):  # type: ignore[arg-type]
            raise Unfit("it combines several quantized inputs")
        low, high = params.range
        return dequantize(np.arange(low, high + 1).astype(params.dtype), params)


def _quantize(values: np.ndarray, y: QParams) -> np.ndarray:
    """256 entries of y's dtype; NaN becomes the lowest value, as ONNX Runtime's vector code has it."""
    low, high = y.range
    with np.errstate(all="ignore"):
        scaled = np.rint(np.broadcast_to(values, 256).astype(np.float32) / y.scale) + np.float32(int(y.zero_point))
    return np.clip(np.nan_to_num(scaled, nan=low, posinf=high, neginf=low), low, high).astype(y.dtype)
