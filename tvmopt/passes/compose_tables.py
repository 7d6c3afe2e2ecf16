"""Chains of elementwise ops on one tensor become one table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tvm
import tvm_ffi
from tvm import relax

from ..quant import reference
from ..quant.params import QParams
from ..quant.regions import Binary, Table
from ..quant.relax_form import from_function, to_function
from ..quant.relax_form.scope import Expr, Var
from .channel_rewriter import without_unused_composites
from .graph import Graph, Rewriter, rewrite


@tvm.transform.module_pass(opt_level=0, name="tvmopt.ComposeTables")
class ComposeTables:
    """Rewrites::

        table(table(x))                  -> table(x)
        binary(table(x), x or table(x))  -> table(x)      either way round; as in gelu(x) = x * f(x)

    Bit-exact: the new table is what the integer reference gives for each of the 256 values of x. What else reads a
    tensor in between still finds it.
    """

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        return without_unused_composites(rewrite(mod, _Compose))


@dataclass(frozen=True, eq=False)
class _Function:
    """A tensor as a function of another: its value for each value of x.

    x, params : the other one, and how its values are to be read.
    values    : 256 of them, in the order of x's.
    ops       : names of the float ops it stands for.
    """

    x: Var
    params: QParams
    values: np.ndarray
    ops: tuple[str, ...] = ()

    @staticmethod
    def identity(x: Var, params: QParams) -> _Function:
        low, high = params.range
        return _Function(x, params, np.arange(low, high + 1).astype(params.dtype))


class _Compose(Rewriter):
    def __init__(self, graph: Graph, mod: tvm.IRModule) -> None:
        super().__init__(graph, mod)
        self.functions: dict[Var, _Function] = {}
        self.regions = {
            gv: from_function(f)
            for gv, f in mod.functions.items()
            if isinstance(f, relax.Function) and "Composite" in (f.attrs or {})
        }

    def visit(self, var: Var, value: Expr) -> None:
        region = self.regions.get(value.op) if isinstance(value, relax.Call) else None
        found = self.function(region, value.args) if isinstance(region, (Table, Binary)) else None
        if found is not None and tvm_ffi.structural_equal(var.ty.shape, found.x.ty.shape):
            self.functions[var] = found
            if any(operand in self.functions for operand in value.args):
                assert isinstance(region, (Table, Binary))
                table = Table(found.params, region.y, found.values, tuple(dict.fromkeys(found.ops)))
                function = self.builder.add_func(to_function(table, [found.x.ty], var.name), value.op.name_hint)
                value = relax.Call(function, [found.x])
        self.bind(var, value)

    def function(self, region: Table | Binary, args: Sequence[Expr]) -> _Function | None:
        """The result of ``region`` as a function of one tensor, if it is one and no cheaper as it is."""
        if isinstance(region, Table):
            operands, own = [self.operand(args[0], region.x)], region.ops
        elif region.constant is None and any(arg in self.functions for arg in args):
            operands, own = [self.operand(args[0], region.a), self.operand(args[1], region.b)], (region.op,)
        else:
            return None
        first = operands[0]
        if any(operand.x != first.x for operand in operands):
            return None
        ops = tuple(op for operand in operands for op in operand.ops)
        values = reference.run(region, *(operand.values for operand in operands))
        return _Function(first.x, first.params, values, ops + own)

    def operand(self, expr: Expr, params: QParams) -> _Function:
        assert isinstance(expr, Var)
        return self.functions.get(expr) or _Function.identity(expr, params)
