"""Which elements of a grouped module's tensors depend on its input, by nothing but where weights are zero."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import tvm
from tvm import relax
from tvm.ir import GlobalVar

from tvmopt.quant import reference
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Binary, Concat, Conv, MatMul, Pool, Region
from tvmopt.quant.relax_form import from_function
from tvmopt.quant.relax_form.scope import op_name

from .interpreter import move

BITS = QParams.per_tensor(1.0, 0, "uint8")
SIGNS = QParams.per_tensor(1.0, 0, "int8")


def taint(mod: tvm.IRModule, seeds: dict[relax.Var, np.ndarray]) -> dict[relax.Var, np.ndarray]:
    """uint8 0 or 1 for every element of every tensor of ``main``, given those of parameters or other tensors."""
    env: dict[relax.Var, np.ndarray] = {param: np.zeros(_shape(param), np.uint8) for param in mod["main"].params}
    env.update(seeds)

    def value(expr: relax.Expr):
        if isinstance(expr, relax.Var):
            return env[expr]
        if isinstance(expr, relax.Tuple):
            return [value(field) for field in expr.fields]
        if isinstance(expr, relax.TupleGetItem):
            return value(expr.tuple_value)[expr.index]
        tensors = expr.args[:1] if not isinstance(expr.op, GlobalVar) else expr.args  # of a move, the one it moves
        args = [value(arg) for arg in tensors]
        if isinstance(expr.op, GlobalVar):
            return _region(from_function(mod[expr.op]), _shape(expr), args)
        if op_name(expr) == "relax.nn.pad":
            widths = np.array([int(width) for width in expr.attrs.pad_width]).reshape(-1, 2)
            return _padded(args[0], widths)
        return move(expr, args)

    for binding in mod["main"].body.blocks[0].bindings:
        if binding.var not in seeds:
            env[binding.var] = value(binding.value)
    return env


def _padded(x: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """What a channel is padded with goes where the channel goes: to read it is to read the channel."""
    others = tuple(axis for axis in range(x.ndim) if axis != 1)
    channels = np.pad(x.max(others, keepdims=True), widths * (np.arange(x.ndim) == 1)[:, None])
    added = 1 - np.pad(np.ones_like(x), widths)
    return np.maximum(np.pad(x, widths), added * channels)


def _shape(expr: relax.Expr) -> tuple[int, ...]:
    return tuple(int(size) for size in expr.ty.shape)


def _region(region: Region, shape: tuple[int, ...], args: list[np.ndarray]) -> np.ndarray:
    if isinstance(region, Conv):
        used = (region.weight != region.w.along(region.weight.ndim)[1]).astype(np.int8)
        bias = np.zeros_like(region.bias)
        counts = reference.run(replace(region, x=BITS, w=SIGNS, weight=used, bias=bias, border=None, y=None), *args)
        return (counts > 0).astype(np.uint8)
    if isinstance(region, MatMul):
        if region.weight is None:
            a, b = args
            return np.broadcast_to(a.max(-1)[..., None] | b.max(-2)[..., None, :], shape)
        used = (region.weight != region.b.along(2)[1]).astype(np.int32)
        return (args[0].astype(np.int32) @ used > 0).astype(np.uint8)
    if isinstance(region, Pool):
        return reference.run(replace(region, op="max", x=BITS, y=BITS), *args)
    if isinstance(region, Concat):
        return np.concatenate(args, region.axis)
    if isinstance(region, Binary) and region.constant is None:
        return np.broadcast_to(args[0] | args[1], shape)
    return np.broadcast_to(args[0], shape)
