"""Lowered models: small ones of TE kernels, and files; and whether an artifact gives the bits it has to."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from tvm import relax, te

from tvmopt import frontend
from tvmopt import target as targets
from tvmopt.backends import library
from tvmopt.lowering import lower
from tvmopt.model import Model, TensorSpec
from tvmopt.passes import pipeline
from tvmopt.runtime.artifact import Engine
from tvmopt.runtime.library import Library
from tvmopt.target import Target


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


@cache
def _optimized(path: Path) -> Model:
    return pipeline.run(frontend.load(path))


def lowered(path: Path, target: Target, sparsity: bool = True) -> Model:
    """An ONNX file, up to the back end."""
    return lower(_optimized(path), target, sparsity=sparsity)


@cache
def _on_this_machine(path: Path) -> Library:
    host = targets.get("host")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.so"
        file.write_bytes(library.build(lowered(path, host), host, {"target": "host"}))
        return Library(file)


def check_same(artifact: Engine, path: Path, samples: int) -> None:
    """``artifact``, compiled from the ONNX file ``path``, gives the same bits as a library on this machine."""
    here, rng = _on_this_machine(path), np.random.default_rng(0)
    for _ in range(samples):
        inputs = {x.name: rng.uniform(0, 1, x.shape).astype(x.dtype) for x in here.inputs}
        got, expected = artifact.run(inputs), here.run(inputs)
        for y in here.outputs:
            assert np.array_equal(got[y.name], expected[y.name])
            assert np.ptp(expected[y.name]) > 0


def _shape(value: Any) -> list[int]:
    return [int(dim) for dim in value.ty.shape]


def negate(x: te.Tensor) -> te.Tensor:
    """A kernel that may work in place."""
    return te.compute(x.shape, lambda *i: -x(*i), name="negate")


def mirror(x: te.Tensor) -> te.Tensor:
    """A kernel that may not: it reads x from the other end."""
    return te.compute(x.shape, lambda i: x[x.shape[0] - 1 - i], name="mirror")
