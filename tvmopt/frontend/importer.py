"""A normalized ONNX graph -> Relax, with TVM's operator converters and our own."""

from __future__ import annotations

import warnings
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import tvm
from tvm import relax, tirx

from ..errors import TvmoptError, UnsupportedError
from ..quant.relax_form.scope import constant
from . import binding
from .converters import Call, convert
from .converters.tracked import Attributes, Inputs

# Element types of which TVM holds several in a byte, or none at all; they travel in wider ones.
_WIDER = {
    np.dtype(ml_dtypes.int2): np.int8,
    np.dtype(ml_dtypes.uint2): np.uint8,
    np.dtype(ml_dtypes.int4): np.int8,
    np.dtype(ml_dtypes.uint4): np.uint8,
}

# Operators that understand a shape where ONNX has a tensor of int64.
_TAKES_SHAPES = {
    "Cast", "CastLike", "Concat", "ConstantOfShape", "Equal", "Expand", "Gather", "Reshape", "Resize", "Shape",
    "Slice", "Squeeze", "Where",
}  # fmt: skip


class Importer:
    """Builds ``main`` out of one graph, binding every ONNX value to a variable of its name."""

    def __init__(self, model: ir.Model) -> None:
        self._graph = model.graph
        self._opset = model.opset_imports[""]
        self._bb = relax.BlockBuilder()
        self._exprs: dict[ir.Value, Any] = {}
        self._symbols: dict[str, tirx.Var] = {}
        self._names: dict[str, str] = {}
        self._parameters: list[relax.Var] = []

    def run(self) -> tvm.ir.IRModule:
        """Convert the graph.

        Raises UnsupportedError, naming the node, for what no converter knows and for a graph
        input that is not a tensor.
        """
        self._parameters = [self._parameter(value) for value in self._graph.inputs]
        for value in self._graph.initializers.values():
            self._exprs[value] = _constant(value)
        try:
            with self._bb.function("main", self._parameters):
                with self._bb.dataflow():
                    for node in self._graph:
                        self._convert(node)
                    outputs = [self._tensor(self._exprs[value]) for value in self._graph.outputs]
                    result = self._bb.emit_output(outputs[0] if len(outputs) == 1 else relax.Tuple(outputs))
                self._bb.emit_func_output(result)
        except Exception:
            self._bb._end_block()  # a builder with an open block complains on stderr when it goes
            raise
        if len(outputs) == 1:
            self._names[result.name] = str(self._graph.outputs[0].name)
        return _Rename(self._names).run(self._bb.get())

    def _parameter(self, value: ir.Value) -> relax.Var:
        if not isinstance(value.type, ir.TensorType) or value.dtype == ir.DataType.STRING:
            raise UnsupportedError(f"the graph input '{value.name}' is {value.type}, not a tensor of numbers")
        if value.shape is None:
            raise UnsupportedError(
                f"the number of dimensions of the graph input '{value.name}' is unknown",
                hint=f"give its shape, as in shapes={{'{value.name}': (1, 3, 224, 224)}}",
            )
        shape = [dim if isinstance(dim, int) else self._symbol(dim, value, i) for i, dim in enumerate(value.shape)]
        dtype = value.type.dtype.numpy()
        name = str(value.name)
        var = relax.Var(name, relax.TensorType(shape, np.dtype(_WIDER.get(dtype, dtype)).name))
        self._exprs[value] = var
        self._names[name] = name
        return var

    def _symbol(self, dim: ir.SymbolicDim, value: ir.Value, axis: int) -> tirx.Var:
        name = dim.value or f"{value.name}_{axis}"
        return self._symbols.setdefault(name, tirx.Var(name, "int64"))

    def _convert(self, node: ir.Node) -> None:
        inputs = [None if value is None else self._exprs[value] for value in node.inputs]
        if node.op_type not in _TAKES_SHAPES:
            inputs = [None if expr is None else self._tensor(expr) for expr in inputs]
        attributes = {name: _attribute(attribute) for name, attribute in node.attributes.items()}
        attributes["tvm_custom"] = {"name": node.name, "num_outputs": len(node.outputs)}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                expr = convert(Call(self._bb, node, Inputs(inputs), Attributes(attributes), self._opset))
                if isinstance(expr, relax.Expr):
                    expr = self._bb.normalize(expr)
        except TvmoptError as error:
            error.node = error.node or node.name
            raise
        except Exception as error:
            reason = f"{node.op_type} cannot be imported: {_reason(error)}"
            raise UnsupportedError(reason, node=node.name, hint=self._way_out(node)) from error
        if isinstance(expr, relax.Tuple):
            items = list(expr)
        elif isinstance(getattr(expr, "ty", None), relax.TupleType):
            whole = self._bb.emit(expr)
            items = [relax.TupleGetItem(whole, index) for index in range(len(whole.ty.fields))]
        else:
            items = [expr]
        if len(node.outputs) > len(items):
            raise UnsupportedError(f"only {len(items)} outputs of {node.op_type} are supported", node=node.name)
        for value, item in zip(node.outputs, items, strict=False):
            self._bind(value, item)

    def _way_out(self, node: ir.Node) -> str | None:
        """What usually helps: sizes, axes and the like that are constants, or computed from shapes that are known."""
        for var in self._parameters:
            if not all(isinstance(dim, tirx.IntImm) for dim in var.ty.shape):
                dims = [int(dim) if isinstance(dim, tirx.IntImm) else str(dim) for dim in var.ty.shape]
                reason = (
                    f"it may be supported when the dimensions of '{var.name}' ({', '.join(map(str, dims))}) are known"
                )
                return f"{reason}: {binding.hint(var.name, dims)}"
        computed = [
            value
            for value in node.inputs[1:]
            if value is not None and value.const_value is None and value.shape is not None and len(value.shape) < 2
        ]
        return binding.constant_hint(*computed) if computed else None

    def _bind(self, value: ir.Value, expr: Any) -> None:
        """Give a computed tensor a variable of its ONNX name; shapes and constants stay as they are."""
        if isinstance(expr, tvm.ir.Call | relax.TupleGetItem) and not isinstance(expr.ty, relax.ShapeType):
            expr = self._bb.emit(expr, name_hint="value")  # _Rename gives it its own, which may be a function's, "main"
        if isinstance(expr, relax.Var):
            self._names.setdefault(expr.name, str(value.name))
        self._exprs[value] = expr

    def _tensor(self, expr: Any) -> Any:
        """A shape as the int64 tensor that it is in ONNX."""
        if tvm.ir.is_prim_expr(expr):
            expr = relax.ShapeExpr([expr])
            return self._bb.normalize(relax.op.reshape(self._tensor(expr), ()))
        if isinstance(expr, relax.ShapeExpr) and all(isinstance(dim, tirx.IntImm) for dim in expr.values):
            return constant(np.array([int(dim) for dim in expr.values], np.int64))
        if isinstance(expr.ty, relax.ShapeType):
            return self._bb.normalize(relax.op.shape_to_tensor(expr))
        return expr


@relax.expr_functor.mutator
class _Rename(relax.PyExprMutator):
    """Give every variable named in ``names`` its new name."""

    def __init__(self, names: dict[str, str]) -> None:
        super().__init__()
        self._new = names

    def run(self, mod: tvm.ir.IRModule) -> tvm.ir.IRModule:
        mod = relax.transform.CanonicalizeBindings()(mod)
        mod["main"] = self.visit_expr(mod["main"])
        return mod

    def visit_dataflow_var_def_(self, var: relax.DataflowVar) -> relax.Var:
        name = self._new.get(var.name, var.name)
        return var if name == var.name else relax.DataflowVar(name, var.ty)

    def visit_var_def_(self, var: relax.Var) -> relax.Var:
        name = self._new.get(var.name, var.name)
        return var if name == var.name else relax.Var(name, var.ty)


def _constant(value: ir.Value) -> tvm.ir.GenericConst:
    assert value.const_value is not None
    if value.const_value.dtype == ir.DataType.STRING:
        raise UnsupportedError("string tensors are not supported", node=value.name)
    array = value.const_value.numpy()
    return constant(np.asarray(array, _WIDER.get(array.dtype, array.dtype), order="C"))


def _attribute(attribute: ir.Attr) -> Any:
    value = onnx.helper.get_attribute_value(ir.to_proto(attribute))
    return tuple(value) if isinstance(value, list) else value


def _reason(error: Exception) -> str:
    """The last line of a converter's complaint, without where in TVM it was raised."""
    if isinstance(error, AttributeError | IndexError | KeyError | TypeError):  # it did not foresee this case
        return "TVM's converter does not know this case of it"
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).rstrip(".")
