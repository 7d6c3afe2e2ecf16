"""Moves run on quantized tensors."""

from __future__ import annotations

import tvm
from tvm import relax

from ..quant.params import QParams
from ..quant.relax_form.scope import Expr, Quantized, Unfit, Var, op_name
from ..quant.relax_form.write import dequantized
from . import moves
from .graph import Graph, Rewriter, rewrite


@tvm.transform.module_pass(opt_level=0, name="tvmopt.SinkDequantize")
class SinkDequantize:
    """Rewrites, from the inputs on::

        move(dequantize(x))        -> dequantize(move(x))
        concat(dequantize(x), ...) -> dequantize(concat(x, ...))    same scale and zero point
        quantize(dequantize(x))    -> x                             same scale and zero point

    A move is any op of ``moves``. Both results are bit-exact.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        return rewrite(mod, _Sink)


class _Sink(Rewriter):
    def __init__(self, graph: Graph, mod: tvm.IRModule) -> None:
        super().__init__(graph, mod)
        self.tuples: dict[Expr, tuple[Expr, QParams] | None] = {}

    def visit(self, var: Var, value: Expr) -> None:
        source = self.source(value)
        if source is not None:
            tensor, params = source
            if isinstance(tensor, (relax.Call, relax.TupleGetItem)):
                tensor = self.emit(tensor, var.name)
            self.bind(var, dequantized(tensor, params))
        elif isinstance(value, relax.Call) and (tensor := self.identity(value)) is not None:
            self.rename(tensor, var.name)
            self.replace(var, tensor)
        else:
            self.bind(var, value)

    def source(self, value: Expr) -> tuple[Expr, QParams] | None:
        """The quantized tensor, and its parameters, that a move of dequantized tensors dequantizes."""
        if isinstance(value, relax.TupleGetItem):
            call = self.scope.value(value.tuple_value)
            if not isinstance(call, relax.Call):
                return None
            if value.tuple_value not in self.tuples:
                found = self.sunk(call)
                name = value.tuple_value.name
                self.tuples[value.tuple_value] = None if found is None else (self.emit(found[0], name), found[1])
            found = self.tuples[value.tuple_value]
            return None if found is None else (relax.TupleGetItem(found[0], value.index), found[1])
        if isinstance(value, relax.Call) and not isinstance(value.ty, relax.TupleType):
            return self.sunk(value)
        return None

    def sunk(self, call: relax.Call) -> tuple[Expr, QParams] | None:
        """``call`` on the quantized tensors whose dequantized values it moves."""
        sources = [self.quantized(operand) for operand in moves.moved(call) or ()]
        tensors = [source.tensor for source in sources if source is not None]
        params = [source.params for source in sources if source is not None and source.params is not None]
        if not sources or len(params) < len(sources) or not all(p.same(params[0]) for p in params):
            return None
        return moves.on(call, tensors, params[0])

    def quantized(self, expr: Expr) -> Quantized | None:
        try:
            return self.scope.quantized(expr)
        except Unfit:
            return None

    def identity(self, call: relax.Call) -> Var | None:
        """The tensor that ``quantize(dequantize(tensor))`` gives back."""
        if op_name(call) != "relax.quantize":
            return None
        source = self.quantized(call.args[0])
        if source is None or source.params is None or not isinstance(source.tensor, Var):
            return None
        params = self.scope.params(call, call.args[0])
        return source.tensor if params is not None and params.same(source.params) else None
