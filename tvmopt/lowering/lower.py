"""The stage: a model of composite functions -> a model of scheduled TIR functions."""

from __future__ import annotations

import tvm

from ..model import Model, PassRecord
from ..target import Target
from .legalize import legalize
from .regions import lower_regions
from .schedule import schedule


def lower(model: Model, target: Target, threads: int = 1, sparsity: bool = True) -> Model:
    """Lower a model for a target. Afterwards ``main`` is ``call_tir``, reshapes and tuples only.

    threads  : how many threads one inference may use.
    sparsity : kernels may skip zero weights, where that takes less time.

    Appends one PassRecord: "regions" lowered to integer kernels, "sparse" ones among them that skip zero weights,
    "inlined" ones that run in float, and how many different "functions" there are.
    """
    tvm_target = target.tvm()
    with tvm_target:
        mod, counts = lower_regions(model.mod, target, sparsity)
        mod = legalize(mod)
        mod = schedule(mod, target, threads)
    functions = sum(isinstance(function, tvm.tirx.PrimFunc) for function in mod.functions.values())
    record = PassRecord("Lower", {}, {**counts, "functions": functions})
    return model.replace(mod=mod, history=(*model.history, record))
