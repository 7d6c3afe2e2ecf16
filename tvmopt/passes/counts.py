"""What a module costs, in numbers that passes change: the entries of a history."""

from __future__ import annotations

import math
from collections import Counter

import tvm
from tvm import relax
from tvm.ir import GenericConst, GlobalVar

from ..quant.relax_form.read import CONV_TRANSPOSE, HEAVY
from ..quant.relax_form.scope import Expr, op_name
from .moves import static_shape


def counts(mod: tvm.IRModule) -> dict[str, int]:
    """Counts of ``main`` and the composites it calls.

    macs              : multiply-accumulates of convolutions and matrix products; symbolic ones are not counted.
    weight_bytes      : constants, without scales and zero points.
    activation_bytes  : all tensors that bindings of ``main`` write, were they all kept.
    float_ops         : ops of ``main`` that compute float32.
    regions, <kind>   : int8 regions, all and by kind.
    """
    found: Counter[str] = Counter(macs=0, weight_bytes=0, activation_bytes=0, float_ops=0, regions=0)
    for _, value in bindings(mod["main"]):
        found["activation_bytes"] += nbytes(value.ty)
        if not isinstance(value, relax.Call):
            continue
        if isinstance(value.op, GlobalVar) and isinstance(mod[value.op], relax.Function):
            body = mod[value.op]
            if "Composite" in (body.attrs or {}):
                found["regions"] += 1
                found[str(body.attrs["Composite"]).removeprefix("tvmopt.")] += 1
            calls = [inner for _, inner in bindings(body) if isinstance(inner, relax.Call)]
        else:
            calls = [value]
            found["float_ops"] += is_float(value.ty) and op_name(value) != "relax.dequantize"
        found["macs"] += sum(map(macs, calls))
        found["weight_bytes"] += sum(map(weight_bytes, calls))
    return dict(found)


def bindings(function: relax.Function) -> list[tuple[relax.Var, Expr]]:
    """All bindings of a function."""
    return [(b.var, b.value) for block in function.body.blocks for b in block.bindings]


def macs(call: relax.Call) -> int:
    """Multiply-accumulates of one float op; 0 for what has none, or has a symbolic dimension."""
    name = op_name(call)
    if name not in HEAVY:
        return 0
    data, weight, out = (static_shape(type_) for type_ in (call.args[0].ty, call.args[1].ty, call.ty))
    if data is None or weight is None or out is None:
        return 0
    if name == "relax.matmul":
        return math.prod(out) * data[-1]
    return math.prod(data if name in CONV_TRANSPOSE else out) * math.prod(weight[1:])


def weight_bytes(call: relax.Call) -> int:
    """Bytes of the constants that an op computes with, without scales and zero points."""
    args = call.args[:1] if op_name(call) in ("relax.quantize", "relax.dequantize") else call.args
    return sum(nbytes(arg.ty) for arg in args if isinstance(arg, GenericConst))


def nbytes(type_: relax.Type) -> int:
    """Bytes of a tensor, or of a tuple's tensors; 0 where a dimension is symbolic."""
    if isinstance(type_, relax.TupleType):
        return sum(map(nbytes, type_.fields))
    shape = static_shape(type_)
    return 0 if shape is None else -(-math.prod(shape) * tvm.DataType(str(type_.dtype)).bits // 8)


def is_float(type_: relax.Type) -> bool:
    """Whether a tensor's elements are floats."""
    return isinstance(type_, relax.TensorType) and str(type_.dtype).startswith("float")
