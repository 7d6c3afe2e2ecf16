"""Runs a grouped module, partitioned or not, in numpy: composites by the integer reference, the rest as ONNX has it."""

from __future__ import annotations

import numpy as np
import tvm
from tvm import relax
from tvm.ir import GenericConst, GlobalVar

from tvmopt.quant import reference
from tvmopt.quant.relax_form import from_function
from tvmopt.quant.relax_form.evaluate import evaluate, is_elementwise
from tvmopt.quant.relax_form.scope import op_name
from tvmopt.quant.subgraphs import is_subgraph


def run(mod: tvm.IRModule, *inputs: np.ndarray) -> list[np.ndarray]:
    """The outputs of ``main``."""
    return function(mod, mod["main"], *inputs)


def function(mod: tvm.IRModule, function: relax.Function, *inputs: np.ndarray) -> list[np.ndarray]:
    """The outputs of a function of the module."""
    env = evaluated(mod, *inputs, function=function)
    body = function.body.body
    result = [env[field] for field in body.fields] if isinstance(body, relax.Tuple) else env[body]
    return result if isinstance(result, list) else [result]


def evaluated(mod: tvm.IRModule, *inputs: np.ndarray, function: relax.Function | None = None) -> dict:
    """The value of every variable of a function, by default ``main``."""
    main = mod["main"] if function is None else function
    env: dict = dict(zip(main.params, inputs, strict=True))

    def value(expr: relax.Expr):
        if isinstance(expr, relax.Var):
            return env[expr]
        if isinstance(expr, GenericConst):
            return expr.value.numpy()
        if isinstance(expr, relax.Tuple):
            return [value(field) for field in expr.fields]
        if isinstance(expr, relax.TupleGetItem):
            return value(expr.tuple_value)[expr.index]
        if isinstance(expr, relax.ShapeExpr):
            return [int(size) for size in expr]
        if isinstance(expr, relax.Call):
            args = [value(arg) for arg in expr.args]
            return _called(mod, mod[expr.op], args) if isinstance(expr.op, GlobalVar) else _op(expr, args)
        return np.asarray(expr.value)

    for block in main.body.blocks:
        for binding in block.bindings:
            env[binding.var] = value(binding.value)
            _check_type(binding.var, env[binding.var])
    return env


def _check_type(var: relax.Var, result: object) -> None:
    if isinstance(result, np.ndarray):
        assert result.shape == tuple(int(size) for size in var.ty.shape), var.name
        assert str(result.dtype) == str(var.ty.dtype), var.name


def _called(mod: tvm.IRModule, callee: relax.Function, args: list[np.ndarray]) -> np.ndarray | list[np.ndarray]:
    if is_subgraph(callee):
        results = function(mod, callee, *args)
        return results if isinstance(callee.ret_ty, relax.TupleType) else results[0]
    region = from_function(callee)
    assert region is not None, callee
    return reference.run(region, *args)


def _op(call: relax.Call, args: list) -> np.ndarray | list[np.ndarray]:
    name, axis, x = op_name(call), getattr(call.attrs, "axis", None), args[0]
    if name == "relax.nn.softmax":
        e = np.exp(x.astype(np.float64) - x.max(axis=int(axis), keepdims=True))
        return (e / e.sum(axis=int(axis), keepdims=True)).astype(np.float32)
    if name == "relax.quantize":
        return reference.quantize(x, _params(call, args))
    if name == "relax.dequantize":
        return reference.dequantize(x, _params(call, args))
    return evaluate(call, args) if is_elementwise(call) else move(call, args)


def move(call: relax.Call, args: list) -> np.ndarray | list[np.ndarray]:
    """An op that only moves elements, of arrays of any dtype."""
    name, attrs, x = op_name(call), call.attrs, args[0]
    if name in ("relax.reshape", "relax.squeeze", "relax.expand_dims", "relax.flatten"):
        return x.reshape([int(size) for size in call.ty.shape])
    if name == "relax.permute_dims":
        return x.transpose(None if attrs.axes is None else [int(a) for a in attrs.axes])
    if name == "relax.concat":
        return np.concatenate(x, int(attrs.axis))
    if name == "relax.split":
        sections = attrs.indices_or_sections
        count = int(sections) if hasattr(sections, "value") else [int(at) for at in sections]
        return np.split(x, count, int(attrs.axis))
    if name == "relax.strided_slice":
        slices = [slice(None)] * x.ndim
        for axis, *bounds in zip(*([int(i) for i in arg] for arg in call.args[1:]), strict=True):
            slices[axis] = slice(*bounds)
        return x[tuple(slices)]
    if name == "relax.nn.pad":
        widths = np.array([int(w) for w in attrs.pad_width]).reshape(-1, 2)
        return np.pad(x, widths, constant_values=attrs.pad_value)
    if name == "relax.take":
        return np.take(x, call.args[1].value.numpy(), int(attrs.axis))
    if name == "relax.broadcast_to":
        return np.broadcast_to(x, [int(size) for size in call.ty.shape])
    if name == "relax.image.resize2d":
        assert (attrs.coordinate_transformation_mode, attrs.rounding_method) == ("asymmetric", "floor")
        sizes = [int(size) for size in call.ty.shape][2:]
        rows, columns = (np.arange(new) * old // new for old, new in zip(x.shape[2:], sizes, strict=True))
        return x[:, :, rows][..., columns]
    raise NotImplementedError(name)


def _params(call: relax.Call, args: list[np.ndarray]) -> reference.QParams:
    scale, zero_point = args[1:3]
    if scale.size == 1:
        return reference.QParams(scale.reshape(()), zero_point.reshape(()))
    return reference.QParams(scale, zero_point, int(call.attrs.axis) % args[0].ndim)
