"""The stage: a model of composite functions -> a model of scheduled TIR functions."""

from __future__ import annotations

import tvm

from ..model import Model, PassRecord
from ..target import Target
from .legalize import legalize
from .regions import lower_regions
from .schedule import Decide, schedule
from .threads import grant


def lower(model: Model, target: Target, threads: int = 1, sparsity: bool = True, decide: Decide | None = None) -> Model:
    """Lower a model for a target. Afterwards ``main`` is ``call_tir``, reshapes and tuples only.

    threads  : how many threads one inference may use; kernels that are too small for several use one.
    sparsity : kernels may skip zero weights, where that takes less time.
    decide   : decisions of schedule rules; default ones without it.

    Appends one PassRecord: "regions" lowered to integer kernels, "sparse" ones among them that skip zero weights,
    "joined" ones that are computed by the kernel of an operand, "inlined" ones that run in float, and how many
    different "functions" there are; its notes tell why weights with zeros were taken as sparse or as dense.
    """
    with target.tvm():
        mod, counts = functions(model.mod, target, threads, sparsity)
        mod = schedule(mod, target, decide)
    number = sum(isinstance(function, tvm.tirx.PrimFunc) for function in mod.functions.values())
    record = PassRecord("Lower", {}, {**counts, "functions": number}, _formats(mod))
    return model.replace(mod=mod, history=(*model.history, record))


def formats(model: Model, target: Target) -> dict[str, str]:
    """By the ONNX value that it gives, whether a weight with zeros is taken as sparse, in which form, or why not."""
    with target.tvm():
        mod, _ = lower_regions(model.mod, target, sparsity=True)
    return _formats(mod)


def _formats(mod: tvm.ir.IRModule) -> dict[str, str]:
    return {str(name): str(why) for name, why in dict(mod.get_attr("tvmopt.formats")).items()}


def functions(
    mod: tvm.ir.IRModule, target: Target, threads: int = 1, sparsity: bool = True
) -> tuple[tvm.ir.IRModule, dict[str, int]]:
    """The module with its TIR functions as schedule rules get them, and how many regions became what."""
    with target.tvm():
        mod, counts = lower_regions(mod, target, sparsity)
        return grant(legalize(mod), target, threads), counts
