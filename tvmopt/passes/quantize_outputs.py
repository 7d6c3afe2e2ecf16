"""Float outputs of a known range become quantized, with TensorFlow Lite's parameters for what computes them."""

from __future__ import annotations

import tvm
from tvm import relax

from ..quant.params import QParams
from ..quant.relax_form.scope import Expr, Var, op_name
from ..quant.relax_form.write import dequantized, quantized
from . import moves
from .graph import Rewriter, rewrite

PARAMS = {
    "relax.nn.softmax": QParams.per_tensor(1 / 256, -128, "int8"),
    "relax.sigmoid": QParams.per_tensor(1 / 256, -128, "int8"),
    "relax.tanh": QParams.per_tensor(1 / 128, 0, "int8"),
}
"""Of the result of an op: TensorFlow Lite's 8-bit quantization specification, SOFTMAX, LOGISTIC and TANH."""


@tvm.transform.module_pass(opt_level=0, name="tvmopt.QuantizeOutputs")
class QuantizeOutputs:
    """Rewrites, at outputs only, where an op of ``PARAMS`` in float computes x, moves of it looked through::

        return x -> return dequantize(quantize(x, scale, zero_point))

    Changes a result by half a step at most, but for a probability above 255/256, which becomes that.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        return rewrite(mod, _Outputs)


class _Outputs(Rewriter):
    def visit(self, var: Var, value: Expr) -> None:
        if var.same_as(self.graph.output):
            if isinstance(value, relax.Tuple):
                value = relax.Tuple([self.field(field) for field in value.fields])
            else:
                value = self.output(value, var.name)
        self.bind(var, value)

    def field(self, expr: Expr) -> Expr:
        """One of several outputs."""
        if not isinstance(expr, Var):
            return expr
        value = self.output(expr, expr.name)
        return expr if value is expr else self.emit(value, f"{expr.name}_dequantized")

    def output(self, value: Expr, name: str) -> Expr:
        params = self.params(value)
        if params is None:
            return value
        computed = value if isinstance(value, Var) else self.emit(value, name)
        return dequantized(self.emit(quantized(computed, params), f"{name}_quantized"), params)

    def params(self, expr: Expr) -> QParams | None:
        """What quantizes the value of ``expr``, when it is one of ``PARAMS``, moved or not."""
        call = self.scope.value(expr)
        if not isinstance(call, relax.Call) or op_name(call) == "relax.nn.pad":
            return None
        if op_name(call) in PARAMS:
            return PARAMS[op_name(call)]
        found = [self.params(operand) for operand in moves.moved(call) or ()]
        return found[0] if found and all(other is found[0] for other in found) else None
