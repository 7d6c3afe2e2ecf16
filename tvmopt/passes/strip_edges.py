"""Inputs and outputs become the 8-bit tensors that the model makes of them, so that a board needs no float for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import tvm
from tvm import relax

from ..errors import UnsupportedError
from ..model import Model, TensorSpec
from ..quant.params import QParams
from ..quant.relax_form.scope import Expr, Scope, Unfit, Var, is_8bit, op_name
from .graph import Graph, operands, substitute

EDGES = "tvmopt.edges"
"""Attribute of the module, JSON: for each input and output its new dtype, scale and zero point; or why it stays float;
or null where it was not float."""

_OTHERWISE = "it is not quantized to 8 bits by constant parameters of the whole tensor"


@tvm.transform.module_pass(opt_level=0, name="tvmopt.StripEdges")
class StripEdges:
    """Rewrites, in ``main``, where x is only quantized, always with the same 8-bit parameters of the whole tensor::

        main(x: float32) { y = f(quantize(x)) } -> main(x: int8) { y = f(x) }
        return dequantize(y)                    -> return y

    Other inputs and outputs stay; the attribute ``EDGES`` says why. What makes and moves quantization to the edges
    (QuantizeOutputs, HoistQuantize, SinkDequantize) comes before.
    """

    def __init__(self, outputs: bool = True) -> None:
        """outputs : whether outputs are rewritten, too."""
        self.outputs = outputs

    def transform_module(self, mod: tvm.IRModule, _: tvm.transform.PassContext) -> tvm.IRModule:
        graph = Graph.of(mod["main"])
        if graph is None:
            return mod
        edges = _Edges(graph, self.outputs)
        mod = mod.clone()
        mod.update_func(mod.get_global_var("main"), edges.stripped().build())
        return mod.with_attr(EDGES, json.dumps({"inputs": edges.inputs, "outputs": edges.outputs}))


def described(model: Model) -> Model:
    """A model after StripEdges, with the specs of its new inputs and outputs.

    Raises UnsupportedError for an input or output that is still float.
    """
    text = model.mod.get_attr(EDGES)
    if text is None:
        raise UnsupportedError("inputs and outputs of a model with control flow stay as they are", file=model.source)
    edges = json.loads(text)
    return model.replace(
        inputs=tuple(_spec(model, "input", *edge) for edge in zip(model.inputs, edges["inputs"], strict=True)),
        outputs=tuple(_spec(model, "output", *edge) for edge in zip(model.outputs, edges["outputs"], strict=True)),
    )


def _spec(model: Model, kind: str, spec: TensorSpec, edge: dict[str, Any] | str | None) -> TensorSpec:
    if isinstance(edge, str):
        raise UnsupportedError(
            f"this {kind} cannot be int8: {edge}",
            file=model.source,
            node=spec.name,
            hint="let the ONNX model begin and end with quantized tensors, or ask for 8 bits at the inputs only",
        )
    return replace(spec, **(edge or {}))


class _Edges:
    """What is known of the inputs and outputs of a graph: what ``EDGES`` says, and what replaces them."""

    def __init__(self, graph: Graph, outputs: bool) -> None:
        self.graph = graph
        self.scope = graph.scope()
        self.params: list[Var] = []
        self.replaced: dict[Var, Expr] = {}
        self.inputs = [self.input(param) for param in graph.params]
        returned = self.scope.value(graph.output)
        self.returned = list(returned.fields) if isinstance(returned, relax.Tuple) else [graph.output]
        self.outputs = [self.output(i) if outputs else None for i in range(len(self.returned))]

    def input(self, param: Var) -> dict[str, Any] | str | None:
        self.params.append(param)
        if not str(param.ty.dtype).startswith("float"):
            return None
        quantizations: list[tuple[Var, QParams]] = []
        for var, value in self.users(param):
            if not isinstance(value, relax.Call):
                return "it is also an output"
            if op_name(value) != "relax.quantize":
                return f"{_short(value)} uses it in float"
            params = _per_tensor(self.scope, value)
            if params is None:
                return _OTHERWISE
            if quantizations and not params.same(quantizations[0][1]):
                return "it is quantized in several ways"
            quantizations.append((var, params))
        if not quantizations:
            return "nothing quantizes it"
        params = quantizations[0][1]
        self.params[-1] = Var(param.name, relax.TensorType(param.ty.shape, str(params.dtype)))
        self.replaced |= {var: self.params[-1] for var, _ in quantizations}
        return _edge(params)

    def users(self, param: Var) -> Iterator[tuple[Var, Expr]]:
        """What uses a parameter; the output that it is uses it too."""
        for var, value in [*self.graph.bindings, (param, self.graph.output)]:
            if param in operands(value):
                yield var, value

    def output(self, number: int) -> dict[str, Any] | str | None:
        expr = self.returned[number]
        if not str(expr.ty.dtype).startswith("float"):
            return None
        value = self.scope.value(expr)
        if isinstance(value, relax.TupleGetItem):
            value = self.scope.value(value.tuple_value)
        if not isinstance(value, relax.Call):
            return "it is a constant, or an input"
        if op_name(value) != "relax.dequantize":
            return f"{_short(value)} computes it in float"
        params = _per_tensor(self.scope, value)
        if params is None:
            return _OTHERWISE
        self.returned[number] = value.args[0]
        return _edge(params)

    def stripped(self) -> Graph:
        """The graph between its edges."""
        normalize = relax.BlockBuilder().normalize
        bindings = [
            (var, normalize(substitute(value, self.replaced)))
            for var, value in self.graph.bindings
            if var not in self.replaced
        ]
        fields = [substitute(expr, self.replaced) for expr in self.returned]
        value = normalize(relax.Tuple(fields)) if isinstance(self.graph.output.ty, relax.TupleType) else fields[0]
        output = Var(self.graph.output.name, value.ty)
        return Graph(self.graph.function, self.params, [*bindings, (output, value)], output)


def _per_tensor(scope: Scope, call: relax.Call) -> QParams | None:
    """Parameters of an ``R.quantize`` or ``R.dequantize`` of a whole tensor to or from 8 bits."""
    try:
        params = scope.params(call, call.args[0])
    except Unfit:
        return None
    return params if params is not None and params.axis is None and is_8bit(params.dtype) else None


def _edge(params: QParams) -> dict[str, Any]:
    return {"dtype": str(params.dtype), "scale": float(params.scale), "zero_point": int(params.zero_point)}


def _short(call: relax.Call) -> str:
    return op_name(call).removeprefix("relax.")
