"""Kernels of regions, run on the emulator of a target's CPU."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tvm
from tvm import relax

from tests import tools
from tests.lowering.harness import restore, store
from tvmopt import backends
from tvmopt.backends import link
from tvmopt.backends.cpu import architecture
from tvmopt.lowering.dispatch import lower, wants
from tvmopt.lowering.kernel import Kernel, Stored
from tvmopt.lowering.schedule import schedule
from tvmopt.model import Model, TensorSpec
from tvmopt.quant import reference
from tvmopt.quant.regions import Region
from tvmopt.target import Target

Case = tuple[Region, tuple[np.ndarray, ...]]
"""A region and its inputs."""


def check(cases: Sequence[Case], target: Target, lower: Callable[..., Kernel | None] = lower) -> None:
    """Assert that every region's kernel gives the reference's result, bit for bit.

    All are one model: what takes time is to link it, and to start the emulator.
    """
    assert target.emulator is not None
    tools.need(target.emulator.command[0], f"{link.TRIPLES[architecture(target)]}-gcc")
    expected = [reference.run(region, *inputs) for region, inputs in cases]
    kernels, feeds = [], []
    for (region, inputs), wanted in zip(cases, expected, strict=True):
        held = wants(region, tuple(Stored(x.shape, x.dtype.name) for x in inputs), target)
        kernel = lower(region, held, wanted.shape, target)
        assert kernel is not None
        kernels.append(kernel)
        feeds.append([store(x, h).reshape(shape) for x, h, shape in zip(inputs, held, kernel.shapes, strict=False)])
    got = _run(kernels, feeds, target)
    for memory, kernel, wanted in zip(got, kernels, expected, strict=True):
        np.testing.assert_array_equal(restore(memory.reshape(kernel.out.physical), kernel.out, wanted.dtype), wanted)


def _run(kernels: Sequence[Kernel], feeds: Sequence[Sequence[np.ndarray]], target: Target) -> list[np.ndarray]:
    """What a model of all kernels gives, each for inputs of its own."""
    flat = {f"x{i}_{j}": x for i, inputs in enumerate(feeds) for j, x in enumerate(inputs)}
    params = {name: relax.Var(name, relax.TensorType(x.shape, str(x.dtype))) for name, x in flat.items()}
    builder = relax.BlockBuilder()
    with builder.function("main", list(params.values())):
        with builder.dataflow():
            calls = [
                _call(builder, kernel, [params[f"x{i}_{j}"] for j in range(len(feeds[i]))], target)
                for i, kernel in enumerate(kernels)
            ]
            output = builder.emit_output(relax.Tuple([builder.emit(call) for call in calls]))
        builder.emit_func_output(output)
    inputs = tuple(TensorSpec(name, x.shape, str(x.dtype)) for name, x in flat.items())
    outputs = tuple(TensorSpec(f"y{i}", kernel.shapes[-1], kernel.out.dtype) for i, kernel in enumerate(kernels))
    return list(backends.build(Model(builder.finalize(), inputs, outputs), target).run(flat).values())


def _call(builder: relax.BlockBuilder, kernel: Kernel, inputs: Sequence[relax.Var], target: Target) -> relax.Call:
    func = schedule(tvm.IRModule({"main": kernel.func.with_attr("global_symbol", "main")}), target)["main"]
    function = builder.add_func(func.without_attr("global_symbol"), "kernel")
    shapes = kernel.shapes[len(inputs) : -1]
    constants = [relax.const(value.reshape(shape)) for value, shape in zip(kernel.constants, shapes, strict=True)]
    return relax.call_tir(function, [*inputs, *constants], relax.TensorType(kernel.shapes[-1], kernel.out.dtype))
