"""Runs one lowered region and compares it with the integer reference."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tvm

from tvmopt import lowering  # noqa: F401  (registers every kernel)
from tvmopt import target as targets
from tvmopt.lowering.dispatch import lower, wants
from tvmopt.lowering.kernel import Kernel, Stored
from tvmopt.lowering.schedule import schedule
from tvmopt.quant import reference
from tvmopt.quant.regions import Region
from tvmopt.target import Target

HOST = targets.get("host")

RUNNABLE = [
    name
    for name in ("x86/generic", "x86/avx2", "x86/skylake-avx512", "x86/cascadelake")
    if targets.cpu_flags().issuperset(targets.get(name).host.flags)
]
"""The x86 targets whose code this machine runs."""

VNNI = "x86/cascadelake"


def needs_vnni(test: Callable[..., None]) -> Callable[..., None]:
    """Marks a test that runs kernels for ``VNNI``."""
    return pytest.mark.hardware(VNNI)(pytest.mark.skipif(VNNI not in RUNNABLE, reason="needs AVX512-VNNI")(test))


def store(array: np.ndarray, held: Stored) -> np.ndarray:
    """An ONNX array as a kernel wants it in memory."""
    if array.dtype != held.dtype:
        array = (array.view(np.uint8) ^ np.uint8(128)).view(held.dtype)
    return array.transpose(held.order).copy(order="C")


def restore(memory: np.ndarray, held: Stored, dtype: np.dtype) -> np.ndarray:
    """The ONNX array that a kernel's output in memory stands for."""
    array = memory.transpose(np.argsort(held.order))
    return array if array.dtype == dtype else (array.copy().view(np.uint8) ^ np.uint8(128)).view(dtype)


def of_threads(mod: tvm.IRModule, threads: int) -> tvm.IRModule:
    """``mod`` whose functions, however small, may use so many threads."""
    return tvm.IRModule({gv: func.with_attr("tvmopt.threads", threads) for gv, func in mod.functions_items()})


def execute(
    region: Region,
    held: tuple[Stored, ...],
    inputs: tuple[np.ndarray, ...],
    expected: np.ndarray,
    target: Target,
    threads: int = 0,
    lower: Callable[..., Kernel | None] = lower,
) -> np.ndarray:
    """Lower ``region`` for inputs that are stored as ``held``, build it, and run it.

    threads : those that the target's schedule may use; 0 builds the function without a schedule.
    lower   : what gives the kernel.
    """
    kernel = lower(region, held, expected.shape, target)
    assert kernel is not None
    assert kernel.out.shape == expected.shape
    mod = tvm.IRModule({"main": kernel.func.with_attr("global_symbol", "main")})
    if threads:
        mod = schedule(of_threads(mod, threads), target)
    library = tvm.tirx.build(mod["main"], target=target.tvm())
    return call(library, kernel, [store(x, h) for x, h in zip(inputs, held, strict=True)], expected.dtype)


def call(library: tvm.runtime.Module, kernel: Kernel, inputs: list[np.ndarray], dtype: np.dtype) -> np.ndarray:
    """The ONNX array of ``dtype`` that a built kernel computes from inputs as they are stored."""
    *shapes, result = kernel.shapes
    arguments = [array.reshape(shape) for array, shape in zip([*inputs, *kernel.constants], shapes, strict=True)]
    out = tvm.runtime.empty(result, kernel.out.dtype)
    library["main"](*map(tvm.runtime.tensor, arguments), out)
    return restore(out.numpy().reshape(kernel.out.physical), kernel.out, dtype)


def check(
    region: Region,
    *inputs: np.ndarray,
    target: Target = HOST,
    last: bool = False,
    shifted: bool = False,
    threads: int = 0,
    lower: Callable[..., Kernel | None] = lower,
) -> None:
    """Assert that the kernel gives the reference's result, bit for bit.

    last, shifted : how the inputs are stored before the kernel says what it wants.
    threads, lower : see ``execute``.
    """
    expected = reference.run(region, *inputs)
    other = {"int8": "uint8", "uint8": "int8"} if shifted else {}
    held = tuple(Stored(x.shape, other.get(x.dtype.name, x.dtype.name), last and x.ndim >= 3) for x in inputs)
    got = execute(region, wants(region, held, target), inputs, expected, target, threads, lower)
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(got, expected)
