"""What accelerators make of zeros in weights."""

from __future__ import annotations

import numpy as np

from ..model import Model
from ..quant.regions import Conv, MatMul
from ..quant.slicing import centered
from ..quant.sparsity import pattern
from ..quant.subgraphs import ops, subgraphs
from ..target import EthosU, Systolic, Target


def formats(model: Model, target: Target) -> dict[str, str]:
    """How the accelerator of ``target`` takes each weight with zeros, by the ONNX value that it gives.

    model : partitioned; without an accelerator there is nothing to tell.
    """
    if target.accelerator is None:
        return {}
    found = {}
    for function in subgraphs(model.mod).values():
        for op in ops(model.mod, function):
            if isinstance(op.region, (Conv, MatMul)) and op.region.weight is not None:
                weight = centered(op.region)
                if not weight.all():
                    found[str(op.var.name)] = _format(op.region, weight, target.accelerator)
    return found


def _format(region: Conv | MatMul, weight: np.ndarray, accelerator: EthosU | Systolic) -> str:
    """weight : int32 [outputs, inputs, taps]."""
    if isinstance(accelerator, Systolic):
        return "dense: the array multiplies zeros like other numbers"
    compressed = "compressed: zeros take fewer bytes, and as many cycles"
    if accelerator.family != "ethos-u85" or (isinstance(region, Conv) and region.groups > 1):
        return compressed
    if not (found := pattern(weight != 0)):
        return f"{compressed}; 2:4 would take half of them"
    if weight.min() == -128:
        return f"{compressed}; Vela stores no weight of -128 as {found}"
    return f"sparse: {found}, for half of the cycles where Vela takes the layer so"
