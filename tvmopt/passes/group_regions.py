"""Int8 regions become composite functions."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import tvm
from tvm import relax

from ..quant.cost import computes_in_float
from ..quant.regions import Conv, MatMul, Requantize, Softmax, Table, WeightOnly
from ..quant.relax_form import Match, Scope, Unfit, read, to_function
from ..quant.relax_form.products import HEAVY
from ..quant.relax_form.read import MAXIMUM, max_pool
from ..quant.relax_form.scope import Expr, Var, op_name
from ..quant.relax_form.write import composite
from .graph import Graph, Rewriter, operands, rewrite, substitute

FLOAT_REASONS = "tvmopt.float_reasons"
"""Module attribute: ONNX value name -> why the op that computes it runs in float."""


_READ = ("relax.quantize", "relax.dequantize", "relax.add", "relax.argmax")
"""Ops, beside heavy ones, that may be the last of a region."""


@tvm.transform.module_pass(opt_level=0, name="tvmopt.GroupRegions")
class GroupRegions:
    """Rewrites::

        quantize(float ops(dequantize(x), ...)) -> region(x, ...)
        conv or matmul(dequantize(x), ...)      -> region(x, ...)   where the result is used in float
        matmul(x, dequantize(constant))         -> region(x)        where x is float, too
        argmax(dequantize(x))                   -> region(x)
        max_pool(x), x of 8 bits                -> region(x)
        quantize(x) | dequantize(x), what is left of them -> region(x)

    ``region`` is a private function with the attribute ``Composite = "tvmopt.<kind>"``, whose body computes the
    same in float and can be read with ``relax_form.from_function``. Every other op that stays in float gets its
    reason into the module's attribute ``tvmopt.float_reasons``.
    """

    def __init__(self, requantize: Requantize = "float", softmax: Requantize | None = None) -> None:
        """softmax : its arithmetic, where that is not ``requantize``."""
        self.requantize = requantize
        self.softmax = softmax or requantize

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        reasons: dict[str, str] = {}
        mod = rewrite(mod, lambda graph, mod: _Group(graph, mod, reasons, self.requantize, self.softmax))
        return mod.with_attr(FLOAT_REASONS, reasons)


class _Group(Rewriter):
    def __init__(
        self, graph: Graph, mod: tvm.IRModule, reasons: dict[str, str], requantize: Requantize, softmax: Requantize
    ) -> None:
        super().__init__(graph, mod)
        self.reasons = reasons
        self.requantize = requantize
        self.softmax = softmax
        self.matches = self.find()

    def find(self) -> dict[Var, Match | None]:
        """The regions, by the variable each computes, from the results back; None for what stays as it is."""
        live = set(operands(self.graph.output))
        matches: dict[Var, Match | None] = {}
        noted: dict[str, str] = {}
        for var, value in reversed(self.graph.bindings):
            if var not in live:
                continue
            match = self.match(var, value, noted) if isinstance(value, relax.Call) else None
            matches[var] = match
            live.update(operands(value) if match is None else (v for v in match.inputs if isinstance(v, Var)))
        for var, value in self.graph.bindings:
            if matches.get(var, 0) is None and computes_in_float(value):
                self.reasons[var.name] = noted.get(var.name) or self.default_reason(value)
        return matches

    def match(self, var: Var, call: relax.Call, noted: dict[str, str]) -> Match | None:
        """The region that ``var`` is the result of; why there is none is noted for the ops that stay float."""
        name = op_name(call)
        try:
            if name in _READ or name in HEAVY:
                match = read(var, self.old)
                if isinstance(match.region, (Conv, MatMul, WeightOnly)):
                    self.check_not_shared(var, match.inputs)
                if isinstance(match.region, Softmax) and self.softmax == "float":
                    raise Unfit("nn.softmax has no int8 form")
                return match
            if name in MAXIMUM or name == "relax.max":
                return max_pool(call)
        except Unfit as reason:
            if name == "relax.add":  # not a bias: whatever uses it will say why
                return None
            noted.setdefault(var.name, str(reason))
            if name == "relax.quantize":
                for inner in self.cone(var):
                    noted.setdefault(inner.name, str(reason))
                return self.edge(var)
        return None

    def edge(self, var: Var) -> Match | None:
        """``R.quantize`` alone."""
        try:
            match = read(var, Scope({var: self.old.bindings[var]}))
        except Unfit:
            return None
        return match

    def cone(self, root: Var, inputs: Sequence[Expr] = ()) -> list[Var]:
        """Variables that ``root`` is computed from, back to the dequantized ones, which are in it, and to ``inputs``,
        which are not; in order."""
        found: dict[Var, None] = {}

        def walk(var: Var) -> None:
            if var in found or var in inputs or var not in self.old.bindings:
                return
            value = self.old.bindings[var]
            if not (isinstance(value, relax.Call) and op_name(value) == "relax.dequantize"):
                for operand in operands(value):
                    walk(operand)
            found[var] = None

        for operand in operands(self.old.bindings[root]):
            walk(operand)
        return list(found)

    def check_not_shared(self, root: Var, inputs: Sequence[Expr]) -> None:
        """Raise Unfit when a float value inside a region is used outside, where it would be computed again."""
        cone = self.cone(root, inputs)
        inside = Counter(v for var in [*cone, root] for v in operands(self.old.bindings[var]))
        for var in cone:
            if self.uses[var] > inside[var] and self.old.call(var, "relax.dequantize") is None:
                raise Unfit(f"its float value '{var.name}' is also used elsewhere")

    def default_reason(self, value: Expr) -> str:
        if any(self.old.call(operand, "relax.dequantize") is not None for operand in operands(value)):
            return "its result is not quantized"
        return "none of its inputs is quantized"

    def visit(self, var: Var, value: Expr) -> None:
        match = self.matches.get(var)
        if var not in self.matches:
            return
        if match is None:
            self.bind(var, value)
        elif isinstance(match.region, Table) and _is_identity(match.region):
            self.replace(var, substitute(match.inputs[0], self.replaced))
        else:
            inputs = [substitute(operand, self.replaced) for operand in match.inputs]
            name = f"{match.region.kind}_{re.sub(r'[^0-9A-Za-z]+', '_', var.name).strip('_')}"
            function = self.builder.add_func(self.function(var, match, inputs), name)
            self.bind(var, relax.Call(function, inputs))

    def function(self, var: Var, match: Match, inputs: list[Expr]) -> relax.Function:
        """The composite's function: canonical, but for tables, which keep the float ops they stand for."""
        types = [operand.ty for operand in inputs]
        if not isinstance(match.region, Table):
            arithmetic = self.softmax if isinstance(match.region, Softmax) else self.requantize
            return to_function(replace(match.region, requantize=arithmetic), types, var.name)
        param = Var("x0", types[0])

        def write(body: relax.BlockBuilder) -> Expr:
            copies: dict[Var, Expr] = {match.inputs[0]: param}
            for inner in self.cone(var):
                copies[inner] = body.emit(substitute(self.old.bindings[inner], copies), inner.name)
            return substitute(self.old.bindings[var], copies)

        return composite(match.region.kind, [param], write, var.name)


def _is_identity(table: Table) -> bool:
    low, high = table.x.range
    return table.x.same(table.y) and np.array_equal(table.table, np.arange(low, high + 1))
