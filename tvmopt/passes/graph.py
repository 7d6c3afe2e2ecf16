"""A straight-line Relax function as a list that passes can rewrite."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import tvm
from tvm import relax

from ..quant.relax_form.scope import Expr, Scope, Var


@dataclass
class Graph:
    """A function whose body is one dataflow block.

    Attributes
    ----------
    function : where it came from (attributes and purity are kept).
    params   : its parameters.
    bindings : variables and what computes them, in order.
    output   : the variable (or tuple) that the function returns.
    """

    function: relax.Function
    params: list[Var]
    bindings: list[tuple[Var, Expr]]
    output: Expr

    @staticmethod
    def of(function: relax.Function) -> Graph | None:
        """Read a function; None when it has control flow, or effects, or more than one block."""
        body = function.body
        if not isinstance(body, relax.SeqExpr) or [type(block) for block in body.blocks] != [relax.DataflowBlock]:
            return None
        bindings = body.blocks[0].bindings
        if not all(type(binding) is relax.VarBinding for binding in bindings):
            return None
        named = [(binding.var, binding.value) for binding in bindings]
        return Graph(function, list(function.params), named, body.body)

    def scope(self) -> Scope:
        """The bindings, to look variables up in."""
        return Scope(dict(self.bindings))

    def uses(self) -> Counter[Var]:
        """How often each variable is used, as an operand or as the result."""
        counts = Counter(var for _, value in self.bindings for var in operands(value))
        counts.update(operands(self.output))
        return counts

    def build(self) -> relax.Function:
        """The function, without bindings that nothing uses."""
        live = set(operands(self.output))
        kept = []
        for var, value in reversed(self.bindings):
            if var in live:
                live.update(operands(value))
                kept.append(relax.VarBinding(var, value))
        old, builder = self.function, relax.BlockBuilder()
        with builder.function("main", self.params):
            with builder.dataflow():
                for binding in reversed(kept):
                    builder.emit_normalized(binding)
            builder.emit_func_output(self.output)
        body = builder.finalize()["main"].body
        return relax.Function(self.params, body, self.output.ty, old.is_pure, old.attrs, old.span)


def operands(expr: Expr) -> Iterator[Var]:
    """Variables that an expression uses directly."""
    if isinstance(expr, Var):
        yield expr
    elif isinstance(expr, relax.Call):
        for arg in expr.args:
            yield from operands(arg)
    elif isinstance(expr, relax.Tuple):
        for field in expr.fields:
            yield from operands(field)
    elif isinstance(expr, relax.TupleGetItem):
        yield from operands(expr.tuple_value)


def substitute(expr: Expr, replacements: dict[Var, Expr]) -> Expr:
    """``expr`` with variables replaced; the same object when none is."""
    if not any(var in replacements for var in operands(expr)):
        return expr
    if isinstance(expr, Var):
        return replacements[expr]
    if isinstance(expr, relax.Tuple):
        return relax.Tuple([substitute(field, replacements) for field in expr.fields])
    if isinstance(expr, relax.TupleGetItem):
        return relax.TupleGetItem(substitute(expr.tuple_value, replacements), expr.index)
    return relax.Call(expr.op, [substitute(arg, replacements) for arg in expr.args], expr.attrs, expr.ty_args)


class Rewriter:
    """Writes a graph anew, binding after binding.

    A pass subclasses it and overrides ``visit``; what it emits is found again with ``self.scope``.
    """

    def __init__(self, graph: Graph, mod: tvm.IRModule) -> None:
        self.graph = graph
        self.builder = relax.BlockBuilder(mod)
        self.uses = graph.uses()
        self.old = graph.scope()
        self.scope = Scope({})
        self.replaced: dict[Var, Expr] = {}
        self.emitted: set[Var] = set()
        self.renamed: dict[Var, Expr] = {}

    def run(self) -> Graph:
        """Visit every binding, in order."""
        for var, value in self.graph.bindings:
            self.visit(var, self.substituted(value, self.replaced))
        bindings = [
            (self.renamed.get(var, var), self.substituted(value, self.renamed))
            for var, value in self.scope.bindings.items()
        ]
        output = substitute(substitute(self.graph.output, self.replaced), self.renamed)
        return Graph(self.graph.function, self.graph.params, bindings, output)

    def substituted(self, value: Expr, replacements: dict[Var, Expr]) -> Expr:
        """A bound expression with variables replaced, and with its type."""
        changed = substitute(value, replacements)
        return value if changed is value else self.builder.normalize(changed)

    def visit(self, var: Var, value: Expr) -> None:
        """Write the binding of ``var`` to ``value``, whose operands are already those of the new graph."""
        self.bind(var, value)

    def emit(self, value: Expr, name: str) -> Var:
        """Bind a new variable."""
        value = self.builder.normalize(value)
        var = relax.DataflowVar(name, value.ty)
        self.scope.bindings[var] = value
        self.emitted.add(var)
        return var

    def bind(self, var: Var, value: Expr) -> None:
        """Bind ``var`` itself, which keeps its name."""
        self.scope.bindings[var] = self.builder.normalize(value)

    def rename(self, var: Var, name: str) -> None:
        """Give a variable that this pass emitted the name of the ONNX value that it turns out to be."""
        if var in self.emitted and var not in self.renamed:
            self.renamed[var] = relax.DataflowVar(name, var.ty)

    def replace(self, var: Var, by: Expr) -> None:
        """Use ``by``, an operand of the new graph, wherever the old graph used ``var``."""
        if isinstance(var, relax.DataflowVar):
            self.replaced[var] = by
        else:  # the function returns it
            self.bind(var, by)


def rewrite(mod: tvm.IRModule, rewriter: Callable[[Graph, tvm.IRModule], Rewriter]) -> tvm.IRModule:
    """Apply a rewriter to every Relax function that is not itself a composite."""
    for name, function in mod.functions_items():
        if not isinstance(function, relax.Function) or "Composite" in (function.attrs or {}):
            continue
        graph = Graph.of(function)
        if graph is not None:
            applied = rewriter(graph, mod)
            function = applied.run().build()
            mod = applied.builder.get()
            mod.update_func(mod.get_global_var(name.name_hint), function)
    return mod
