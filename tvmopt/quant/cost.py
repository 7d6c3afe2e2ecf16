"""What ops and modules cost, in numbers that passes change."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import tvm
from tvm import relax
from tvm.ir import GenericConst, GlobalVar

from .relax_form.products import CONV_TRANSPOSE, HEAVY
from .relax_form.scope import Expr, Scope, Unfit, op_name, static_shape
from .sparsity import zero_tiles


def counts(mod: tvm.IRModule) -> dict[str, int]:
    """Counts of ``main`` and the composites it calls: the entries of a history.

    macs              : multiply-accumulates of convolutions and matrix products; symbolic ones are not counted.
    weight_bytes      : constants, without scales and zero points.
    weights           : elements of the 8-bit weights of convolutions and matrix products;
    zero_weights      : those equal to their zero point;
    dead_channels     : output channels with nothing but zeros;
    zero_tiles        : zeros of ``sparsity.TILE`` neighbouring outputs, which kernels skip, in weights that are sparse.
    activation_bytes  : all tensors that bindings of ``main`` write, were they all kept;
    peak_bytes        : the most that are needed at a time, without inputs and outputs: what an arena holds at least.
    float_ops         : ops of ``main`` that give floats.
    regions, <kind>   : int8 regions, all and by kind.
    """
    total: Counter[str] = Counter(dict.fromkeys(_ALWAYS, 0))
    total["peak_bytes"] = peak_bytes(mod)
    for (call, _), cost in zip(calls(mod), call_costs(mod), strict=True):
        kind = composite_kind(mod, call)
        total["activation_bytes"] += nbytes(call.ty)
        if kind is not None:
            total["regions"] += 1
            total[kind] += 1
        elif is_float(call.ty) and op_name(call) != "relax.dequantize":
            total["float_ops"] += 1
        total.update(cost)
    return dict(total)


_COSTS = ("macs", "weight_bytes", "weights", "zero_weights", "dead_channels", "zero_tiles")
_ALWAYS = (*_COSTS, "activation_bytes", "peak_bytes", "float_ops", "regions")


def calls(mod: tvm.IRModule) -> list[tuple[relax.Call, str]]:
    """The calls in ``main`` and the names of their results, in order."""
    bindings = [binding for block in mod["main"].body.blocks for binding in block.bindings]
    return [(binding.value, binding.var.name) for binding in bindings if isinstance(binding.value, relax.Call)]


def composite_kind(mod: tvm.IRModule, call: relax.Call) -> str | None:
    """The kind of region that ``call`` applies, or None."""
    if not isinstance(call.op, GlobalVar):
        return None
    name = (mod[call.op].attrs or {}).get("Composite")
    return None if name is None else str(name).removeprefix("tvmopt.")


def call_costs(mod: tvm.IRModule) -> list[dict[str, int]]:
    """The costs of each of ``calls``, or of the function it calls. Weights that several have are the first one's."""
    main, seen = Scope.of(mod["main"]), set()
    found = []
    for call, _ in calls(mod):
        scope, inner = main, [call]
        if isinstance(call.op, GlobalVar) and isinstance(mod[call.op], relax.Function):
            scope = Scope.of(mod[call.op])
            inner = [value for value in scope.bindings.values() if isinstance(value, relax.Call)]
        total: Counter[str] = Counter(dict.fromkeys(_COSTS, 0))
        for one in inner:
            stored = [constant for constant in _constants(one) if constant not in seen]
            total["weight_bytes"] += sum(nbytes(constant.ty) for constant in stored)
            seen.update(stored)
            if op_name(one) in HEAVY:
                total["macs"] += macs(one)
                if (weight := scope.value(one.args[1])) not in seen:
                    total.update(_zeros(one, scope))
                    seen.add(weight)
        found.append(dict(total))
    return found


def _zeros(call: relax.Call, scope: Scope) -> dict[str, int]:
    try:
        weight, params = scope.weight(call.args[1])
    except Unfit:
        return {}
    zero = weight == params.along(weight.ndim)[1]
    outputs, inputs = weight_axes(op_name(call), weight.ndim)
    others = tuple(axis for axis in range(weight.ndim) if axis != outputs)
    grouped = op_name(call) != "relax.matmul" and int(call.attrs.groups) > 1
    return {
        "weights": weight.size,
        "zero_weights": int(np.count_nonzero(zero)),
        "dead_channels": int(np.count_nonzero(zero.all(axis=others))),
        "zero_tiles": 0 if grouped else zero_tiles(np.moveaxis(~zero, (outputs, inputs), (0, 1))),
    }


def weight_axes(op: str, rank: int) -> tuple[int, int]:
    """The axes of a weight along which its outputs and its inputs lie (of one group's)."""
    if op == "relax.matmul":
        return rank - 1, rank - 2
    return (1, 0) if op in CONV_TRANSPOSE else (0, 1)


def macs(call: relax.Call) -> int:
    """Multiply-accumulates of a convolution or matrix product; 0 where a dimension is symbolic."""
    data, weight, out = (static_shape(type_) for type_ in (call.args[0].ty, call.args[1].ty, call.ty))
    if data is None or weight is None or out is None:
        return 0
    if op_name(call) == "relax.matmul":
        return math.prod(out) * data[-1]
    return math.prod(data if op_name(call) in CONV_TRANSPOSE else out) * math.prod(weight[1:])


def _constants(call: relax.Call) -> list[GenericConst]:
    """Those that an op computes with, without scales and zero points."""
    args = call.args[:1] if op_name(call) in ("relax.quantize", "relax.dequantize") else call.args
    return [arg for arg in args if isinstance(arg, GenericConst)]


def nbytes(type_: relax.Type) -> int:
    """Bytes of a tensor, or of a tuple's tensors; 0 where a dimension is symbolic."""
    if isinstance(type_, relax.TupleType):
        return sum(map(nbytes, type_.fields))
    shape = static_shape(type_)
    return 0 if shape is None else -(-math.prod(shape) * tvm.DataType(str(type_.dtype)).bits // 8)


def peak_bytes(mod: tvm.IRModule) -> int:
    """The most bytes of intermediate tensors that are needed at a time; a reshaped tensor is the same tensor."""
    body = mod["main"].body
    bindings = [binding for block in body.blocks for binding in block.bindings]
    same: dict[Expr, Expr] = {}
    last: dict[Expr, int] = {}
    for at, binding in enumerate(bindings):
        value = binding.value
        if isinstance(value, relax.Call) and op_name(value) == "relax.reshape":
            value = value.args[0]
        same[binding.var] = same.get(value, value) if isinstance(value, relax.Var) else binding.var
        for var in relax.analysis.free_vars(binding.value):
            last[same.get(var, var)] = at
    for var in relax.analysis.free_vars(body.body):
        last.pop(same.get(var, var), None)
    starts = {binding.var: at for at, binding in enumerate(bindings) if same[binding.var].same_as(binding.var)}
    live = [0] * (len(bindings) + 1)
    for var, start in starts.items():
        if var in last:
            live[start] += nbytes(var.ty)
            live[last[var] + 1] -= nbytes(var.ty)
    return max(itertools.accumulate(live))


def is_float(type_: relax.Type) -> bool:
    """Whether a tensor's elements are floats."""
    return isinstance(type_, relax.TensorType) and str(type_.dtype).startswith("float")


def computes_in_float(value: Expr) -> bool:
    """Whether an expression is an op with a float operand or result."""
    return isinstance(value, relax.Call) and any(
        is_float(type_) for type_ in (value.ty, *(arg.ty for arg in value.args))
    )
