"""2:4 weights on GPUs: tensor cores of sm_80 and later multiply two of every four neighbours of the reduction."""

from __future__ import annotations

from math import prod

import numpy as np

from ...schedules import _cuda_cost as cost
from ...target import Target
from ...target_file import Cuda
from ..packing import Packing, choose

_STEP = 64
"""Elements of the reduction that an instruction covers."""


def unfit(weight: np.ndarray, stored: str, target: Target) -> str:
    """Why a GPU cannot multiply pairs of a weight [O, K, *taps] with activations of a dtype; "" where it can."""
    tiled = choose(target, stored, weight) == Packing(32, 32, "uint8", "int8")
    if target.cuda is None or target.cuda.number < 80 or not tiled:
        return "the target has no sparse kernel for these operands"
    outputs, length, *taps = weight.shape
    if length % _STEP:
        return f"{length} channels are no multiple of {_STEP}"
    if (np.count_nonzero(weight.reshape(outputs, length // 4, 4, *taps), axis=2) > 2).any():
        return "more than two of four neighbours are not zero"
    return ""


def cycles(pixels: int, weight: np.ndarray, groups: int, pairs: bool, cuda: Cuda) -> float:
    """Cycles of a GPU for a weight [O, K, *taps], stored whole or in pairs, with the tile that its schedule takes."""
    outputs, *reduction = weight.shape
    steps = -(-prod(reduction) // (_STEP if pairs else _STEP // 2))
    macs = cost.MMA_SP if pairs else cost.MMA
    shape = cost.Shape(1, pixels, outputs, steps, groups > 1, pairs, macs=macs)
    gpu = cost.Gpu(cuda.multiprocessors, cuda.shared_kib * 1024)
    return cost.cycles(shape, cost.best(shape, gpu), gpu)
