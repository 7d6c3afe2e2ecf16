"""A lowered model, ready to be written as C sources and an object file: steps, kernels, and all memory placed."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ..errors import UnsupportedError
from ..model import Model
from ..target import Region, Target
from . import inplace, kernels, layout, packed, parts, program, sharing, unpacking
from .embedded import DEFAULT, Embedded
from .layout import Layout, Work
from .packed import Saving
from .program import Program
from .sharing import Sharing

if TYPE_CHECKING:
    from tvm import tirx


UNLIMITED = Region("memory", None)


@dataclass(frozen=True, eq=False)
class Image:
    """What an artifact of a C back end is made of.

    Attributes
    ----------
    name    : of the model in C: ``tvmopt_<name>_run``.
    model   : as lowered.
    target  : what the kernels are compiled for.
    program : the steps.
    sharing : which tensors are one piece of memory.
    symbols : by step, the C function that is its kernel, ``tvmopt_<name>_<kernel>`` for an external one; None where it
              only puts tensors beside each other.
    work    : by step, what it does to memory.
    kernels : those functions.
    layout  : where every tensor lives.
    options : how it is written.
    savings : by packed weights.
    """

    name: str
    model: Model
    target: Target
    program: Program
    sharing: Sharing
    symbols: list[str | None]
    work: list[Work]
    kernels: kernels.Kernels
    layout: Layout
    options: Embedded
    savings: list[Saving]


def make(
    model: Model,
    target: Target,
    name: str,
    *,
    alignment: int,
    stack_bytes: int,
    threads: int,
    regions: Sequence[Region] = (UNLIMITED,),
    options: Embedded = DEFAULT,
    external: Mapping[str, Work] | None = None,
) -> Image:
    """Plan and lower ``model``.

    alignment   : bytes; of every tensor in the workspace and the weights.
    stack_bytes : kernel buffers up to this size are on the stack, larger ones in the workspace.
    threads     : that share parallel loops.
    regions     : memories for the workspace, fastest first.
    options     : how it is to be written.
    external    : what external kernels do to memory, by their name; nothing but reading and writing otherwise.

    A concatenation that is computed in its place keeps all of it alive for longer: it is done where that does not make
    the workspace larger.

    Raises UnsupportedError where ``program.read`` does, and for a model that needs more memory than there is.
    """
    steps = program.read(model)
    steps, savings = packed.pack(steps, unpack_symbol(name)) if options.compress_weights else (steps, [])
    constant = [
        spec.name for spec, i in zip(model.outputs, steps.outputs, strict=True) if steps.tensors[i].data is not None
    ]
    if constant and options.io_memory == "workspace":
        raise UnsupportedError(f"output '{constant[0]}' is a constant: it is not in the workspace", file=model.source)
    reads = {call.kernel: len(call.reads) for call in steps.calls}
    overwritable = {kernel: inplace.overwritable(func, reads[kernel]) for kernel, func in steps.kernels.items()}
    concats = {kernel: found for kernel, func in steps.kernels.items() if (found := parts.parts(func, reads[kernel]))}

    def planned(concats: dict[str, dict[int, int]]) -> Image:
        """In one memory without a limit."""
        shared = sharing.share(steps, overwritable, concats, own_inputs=options.io_memory == "workspace")
        funcs, symbols = _functions(steps, shared, name)
        if savings:
            funcs[unpack_symbol(name)] = unpacking.unpack(), {}
        lowered = kernels.lower(funcs, target, stack_bytes=stack_bytes, threads=threads, portable=options.emit == "c")
        work = [
            Work(lowered.scratch[symbol], lowered.traffic[symbol])
            if symbol in lowered.scratch
            else (external or {}).get(call.kernel, Work())
            for call, symbol in zip(steps.calls, symbols, strict=True)
        ]
        places = layout.lay_out(steps, shared, work, alignment, (UNLIMITED,), options.io_memory)
        return Image(name, model, target, steps, shared, symbols, work, lowered, places, options, savings)

    ways = [planned(concats), *([planned({})] if concats else [])]
    best = min(ways, key=lambda image: image.layout.workspace_bytes)
    try:
        places = layout.lay_out(steps, best.sharing, best.work, alignment, regions, options.io_memory)
    except UnsupportedError as error:
        raise UnsupportedError(error.reason, file=model.source, hint=error.hint) from None
    return replace(best, layout=places)


def unpack_symbol(name: str) -> str:
    """The function that kernels of a model call to unpack weights."""
    return f"tvmopt_{name}_unpack"


def _functions(
    steps: Program, shared: Sharing, name: str
) -> tuple[dict[str, tuple[tirx.PrimFunc, dict[int, int]]], list[str | None]]:
    """What ``kernels.lower`` takes; and by step, which of it is its kernel."""
    funcs: dict[str, tuple[tirx.PrimFunc, dict[int, int]]] = {}
    symbols: list[str | None] = []
    for call, over, beside in zip(steps.calls, shared.over, shared.parts, strict=True):
        if beside:
            symbols.append(None)
            continue
        suffix = "".join(f"_over{i}" for i in over.values())
        symbol = f"tvmopt_{name}_{re.sub(r'[^A-Za-z0-9_]', '_', call.kernel)}{suffix}"
        if not call.external:
            funcs[symbol] = (steps.kernels[call.kernel], {len(call.reads) + o: i for o, i in over.items()})
        symbols.append(symbol)
    return funcs, symbols
