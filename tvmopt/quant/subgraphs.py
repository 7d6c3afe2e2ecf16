"""Parts of a model that an accelerator computes: functions of ``main``'s ops with the attribute ``Codegen``.

What goes in and out of such a function is 8-bit. Whoever calls it hands over, and takes back, int8 tensors (a uint8
one with every value 128 less); where ``channels_last`` says so, those of rank 3 and more with axis 1 last. Indices,
which ArgMax gives, come out as int32 tensors in the order of ONNX.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import tvm
from tvm import relax
from tvm.ir import GlobalVar

from .regions import Conv, Pool, Region
from .relax_form import from_function
from .relax_form.scope import Var, static_shape

CODEGEN = "Codegen"
"""Attribute of a subgraph's function: the kind of its accelerator."""


@dataclass(frozen=True, eq=False)
class Op:
    """One call, as an accelerator is asked about it.

    Attributes
    ----------
    var    : the variable it computes, named after the ONNX value.
    call   : the call itself.
    region : what it computes; None for an op that only moves elements.
    inputs : shapes of the tensors it takes, as ONNX has them.
    output : shape of the tensor it gives; () for several, see ``call``.
    """

    var: Var
    call: relax.Call
    region: Region | None
    inputs: tuple[tuple[int, ...], ...]
    output: tuple[int, ...]

    @staticmethod
    def of(mod: tvm.IRModule, var: Var, call: relax.Call) -> Op:
        """The op that a binding is. The region of a composite that cannot be read is None, as a move's is."""
        region = from_function(mod[call.op]) if isinstance(call.op, GlobalVar) else None
        return Op(var, call, region, tuple(map(_shape, tensors(call))), _shape(call))


def tensors(call: relax.Call) -> list[relax.Expr]:
    """The tensors a call takes, those of tuples one by one."""
    parts = [part for arg in call.args for part in (arg.fields if isinstance(arg, relax.Tuple) else [arg])]
    return [part for part in parts if isinstance(part.ty, relax.TensorType)]


def subgraphs(mod: tvm.IRModule) -> dict[str, relax.Function]:
    """The subgraphs of a module by name, in the order in which ``main`` calls them."""
    called = (call.op for _, call in _calls(mod["main"]) if isinstance(call.op, GlobalVar))
    return {gv.name_hint: mod[gv] for gv in called if is_subgraph(mod[gv])}


def is_subgraph(function: tvm.ir.BaseFunc) -> bool:
    """Whether an accelerator computes a function."""
    return CODEGEN in (function.attrs or {})


def ops(mod: tvm.IRModule, function: relax.Function) -> list[Op]:
    """The ops of a subgraph, in order."""
    return [Op.of(mod, var, call) for var, call in _calls(function)]


def channels_last(mod: tvm.IRModule, function: relax.Function) -> bool:
    """How tensors lie when a subgraph is called: convolutions and pooling want channels last."""
    return any(isinstance(op.region, (Conv, Pool)) for op in ops(mod, function))


def _calls(function: relax.Function) -> Iterator[tuple[Var, relax.Call]]:
    for block in function.body.blocks:
        for binding in block.bindings:
            if isinstance(binding.value, relax.Call):
                yield binding.var, binding.value


def _shape(expr: relax.Expr) -> tuple[int, ...]:
    return static_shape(expr.ty) or ()
