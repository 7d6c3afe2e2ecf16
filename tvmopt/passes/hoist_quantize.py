"""Quantization moves up to what computes a value, so that what follows runs on quantized tensors."""

from __future__ import annotations

import tvm
from tvm import relax

from ..quant.params import QParams
from ..quant.relax_form.scope import Expr, Unfit, Var, op_name
from ..quant.relax_form.write import quantized
from . import moves
from .graph import Rewriter, rewrite


@tvm.transform.module_pass(opt_level=0, name="tvmopt.HoistQuantize")
class HoistQuantize:
    """Rewrites, where nothing else uses the move::

        quantize(move(x))        -> move(quantize(x))
        quantize(concat(x, ...)) -> concat(quantize(x), ...)

    A move is any op of ``moves`` with one operand. Bit-exact, as every element is quantized by itself. Moves of
    tensors that are all dequantized are left to SinkDequantize.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        return rewrite(mod, _Hoist)


class _Hoist(Rewriter):
    def visit(self, var: Var, value: Expr) -> None:
        hoisted = None
        if isinstance(value, relax.Call) and op_name(value) == "relax.quantize":
            try:
                params = self.scope.params(value, value.args[0])
            except Unfit:
                params = None
            if params is not None and params.axis is None:
                hoisted = self.hoist(value.args[0], params)
        self.bind(var, value if hoisted is None else hoisted)

    def hoist(self, expr: Expr, params: QParams) -> Expr | None:
        """``quantize(expr)`` as a move of quantized tensors; None when expr is not a move to hoist over."""
        call = self.scope.value(expr)
        if not isinstance(call, relax.Call) or isinstance(call.ty, relax.TupleType) or self.uses[expr] > 1:
            return None
        operands = moves.moved(call)
        if operands is None or (len(operands) > 1 and op_name(call) != "relax.concat"):
            return None
        if all(self.scope.call(operand, "relax.dequantize") is not None for operand in operands):
            return None
        if not all(isinstance(operand, Var) for operand in operands):
            return None
        tensors = []
        for operand in operands:
            inner = self.hoist(operand, params)
            above = quantized(operand, params) if inner is None else inner
            tensors.append(self.emit(above, f"{operand.name}_quantized"))
        result = moves.on(call, tensors, params)
        return None if result is None else result[0]
