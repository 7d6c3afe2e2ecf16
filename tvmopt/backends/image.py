"""A lowered model, ready to be written as C sources and an object file: steps, kernels, and all memory placed."""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..model import Model
from ..target import Target
from . import inplace, kernels, layout, program


@dataclass(frozen=True, eq=False)
class Image:
    """What an artifact of a C back end is made of.

    Attributes
    ----------
    name    : of the model in C: ``tvmopt_<name>_run``.
    model   : as lowered.
    target  : what the kernels are compiled for.
    program : the steps.
    shared  : by step, {output number: input number} for outputs that overwrite an input.
    symbols : by step, the C function that is its kernel.
    kernels : those functions.
    layout  : where every tensor lives.
    """

    name: str
    model: Model
    target: Target
    program: program.Program
    shared: list[dict[int, int]]
    symbols: list[str]
    kernels: kernels.Kernels
    layout: layout.Layout


def make(
    model: Model,
    target: Target,
    name: str,
    *,
    alignment: int,
    stack_bytes: int,
    parallel: bool,
    portable: bool = False,
) -> Image:
    """Plan and lower ``model``.

    alignment   : bytes; of every tensor in the workspace and the weights.
    stack_bytes : kernel buffers up to this size are on the stack, larger ones in the workspace.
    parallel    : whether loops may be shared among threads.
    portable    : kernels are to be written as C, not compiled by LLVM.

    Raises UnsupportedError where ``program.read`` does.
    """
    steps = program.read(model)
    reads = {call.kernel: len(call.reads) for call in steps.calls}
    overwritable = {kernel: inplace.overwritable(func, reads[kernel]) for kernel, func in steps.kernels.items()}
    shared = layout.share(steps, overwritable)
    funcs, symbols = {}, []
    for call, taken in zip(steps.calls, shared, strict=True):
        over = "".join(f"_over{i}" for i in taken.values())
        symbol = f"tvmopt_{name}_{re.sub(r'[^A-Za-z0-9_]', '_', call.kernel)}{over}"
        funcs[symbol] = (steps.kernels[call.kernel], {len(call.reads) + o: i for o, i in taken.items()})
        symbols.append(symbol)
    lowered = kernels.lower(funcs, target, stack_bytes=stack_bytes, parallel=parallel, portable=portable)
    scratch = [lowered.scratch[symbol] for symbol in symbols]
    return Image(
        name, model, target, steps, shared, symbols, lowered, layout.lay_out(steps, shared, scratch, alignment)
    )
