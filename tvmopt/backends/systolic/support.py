"""What the array takes, and why not."""

from __future__ import annotations

from functools import singledispatch

import numpy as np

from ...quant.regions import ArgMax, Conv, Dequantize, MatMul, Pool, Quantize, Region, Softmax, WeightOnly
from ...target import Systolic
from .arrange import arrange
from .graph import Graph, Reshape, Step, Transpose
from .memory import aligned, weight_buffers
from .operators import constants
from .tiling import centered


def refuse(step: Step, machine: Systolic) -> str | None:
    """Why the accelerator cannot compute a step; None where it can."""
    op = step.op
    if isinstance(op, Region) and op.requantize != "float":
        return "its output stage scales in float32, not in fixed point"
    return _refuse(op) or _too_large(step, machine)


def _too_large(step: Step, machine: Systolic) -> str | None:
    graph = Graph(step.inputs, (step.output,), (step,), isinstance(step.op, Conv | Pool))
    sizes = [
        aligned(len(constants(part))) + sum(aligned(memory.size) for memory in part.memories)
        for part in arrange(graph).steps
    ]
    needed = max(sizes, default=0) + weight_buffers(machine).size
    room = machine.memory_kib * 1024
    return None if needed <= room else f"needs {needed / 1024:.0f} KiB of on-chip memory, there are {room // 1024}"


@singledispatch
def _refuse(op: Region | Reshape | Transpose) -> str | None:
    return None


@_refuse.register
def _(op: Quantize | Dequantize | WeightOnly) -> str | None:
    return "float tensors are the host's"


@_refuse.register
def _(op: ArgMax | Softmax) -> str | None:
    return "the array neither compares nor divides elements"


@_refuse.register
def _(op: Conv) -> str | None:
    if op.transposed:
        return "the array has no transposed convolution"
    if op.border is not None:
        return "constants are added to its sums that differ from place to place"
    return _float(op) or _weights(op)


@_refuse.register
def _(op: MatMul) -> str | None:
    if op.a is None:
        return "its scale is known only at run time"
    if op.weight is None:
        return "both of its operands are computed, the array needs one that is constant"
    return _float(op) or _weights(op)


@_refuse.register
def _(op: Pool) -> str | None:
    return "it pools over more than two axes" if len(op.kernel) > 2 else None


def _float(op: Conv | MatMul) -> str | None:
    return "its result is float" if op.y is None else None


def _weights(op: Conv | MatMul) -> str | None:
    values = centered(op)
    info = np.iinfo(np.int8)
    if values.min(initial=0) < info.min or values.max(initial=0) > info.max:
        return "its weights minus their zero points do not fit int8"
    return None
