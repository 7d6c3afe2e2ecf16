"""Small lowered models: Relax calls of TE kernels, as ``lowering.lower`` gives them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tvm import relax, te

from tvmopt.model import Model, TensorSpec


def make_model(build: Callable[..., Any], **inputs: tuple[tuple[int, ...], str]) -> Model:
    """``make_model(build, x=((2, 8), "int8"))``: ``build(emit, x)`` returns the output, or a tuple of them.

    ``emit(compute, *args)`` calls a kernel: ``compute`` maps TE tensors to one or more TE tensors; arrays among
    the arguments are constants.
    """
    builder = relax.BlockBuilder()
    params = [relax.Var(name, relax.TensorType(shape, dtype)) for name, (shape, dtype) in inputs.items()]

    def emit(compute: Callable[..., Any], *args: Any) -> Any:
        values = [relax.const(arg) if isinstance(arg, np.ndarray) else arg for arg in args]
        tensors = [te.placeholder(_shape(v), str(v.ty.dtype), name=f"arg{i}") for i, v in enumerate(values)]
        outs = compute(*tensors)
        outs = list(outs) if isinstance(outs, tuple) else [outs]
        func = te.create_prim_func([*tensors, *outs]).without_attr("global_symbol")
        gv = builder.add_func(func, compute.__name__.replace("<lambda>", "kernel"))
        types = [relax.TensorType([int(d) for d in o.shape], str(o.dtype)) for o in outs]
        return builder.emit(relax.call_tir(gv, values, types if len(types) > 1 else types[0]))

    with builder.function("main", params):
        with builder.dataflow():
            out = build(emit, *params)
            outputs = list(out) if isinstance(out, tuple) else [out]
            result = builder.emit_output(relax.Tuple(outputs) if isinstance(out, tuple) else out)
        builder.emit_func_output(result)
    return Model(
        builder.finalize(),
        tuple(TensorSpec(name, shape, dtype) for name, (shape, dtype) in inputs.items()),
        tuple(TensorSpec(f"y{i}", tuple(_shape(o)), str(o.ty.dtype)) for i, o in enumerate(outputs)),
    )


def _shape(value: Any) -> list[int]:
    return [int(dim) for dim in value.ty.shape]
