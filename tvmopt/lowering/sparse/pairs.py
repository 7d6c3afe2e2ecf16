"""2:4 weights on GPUs: tensor cores of sm_80 and later multiply two of every four neighbours of the reduction."""

from __future__ import annotations

from itertools import product
from math import ceil, prod

import numpy as np

from ...target import Target
from ..packing import Packing, choose

# Of an A100 (NVIDIA A100 Tensor Core GPU Architecture, whitepaper, 2020), for a multiprocessor and a cycle. What a
# kernel takes besides its steps is an estimate: nothing here was fitted to measurements.
_MULTIPROCESSORS = 108
_MACS = {False: 2048, True: 4096}  # of 8 bits, dense and in pairs; zeros count
_BYTES = 5120 / _MULTIPROCESSORS  # from L2
_BEGIN = 1000  # cycles until the first stage is there and after the last one is stored
_EPILOGUE = 0.08  # cycles for an output: ten instructions for each of 128 lanes

_STEP = 64
"""Elements of the reduction that an instruction covers."""

_EDGES = (128, 64, 32)
"""Of tiles."""


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


def cycles(pixels: int, weight: np.ndarray, groups: int, pairs: bool) -> float:
    """Cycles of a multiprocessor for a weight [O, K, *taps], stored whole or in pairs.

    Tiles are the ones of ``schedules/_cuda_tile.py``: the largest that leave one for every multiprocessor, of one
    group's channels. A step of a tile takes as long as its multiply-adds or its bytes, whichever is slower; of pairs
    these are half of the weight and two bits for every one that is left. Where multiprocessors have several tiles, the
    next one begins while one ends.
    """
    outputs, *reduction = weight.shape
    edges = product(_EDGES, _EDGES if groups == 1 else _EDGES[-1:])
    tiles = sorted(edges, key=lambda tile: (prod(tile), -sum(tile), tile), reverse=True)
    counts = [ceil(pixels / rows) * ceil(outputs / columns) for rows, columns in tiles]
    at = next((i for i, count in enumerate(counts) if count >= _MULTIPROCESSORS), -1)
    rows, columns = tiles[at]
    channel = _STEP // 2 + _STEP // 8 if pairs else _STEP  # bytes
    read = min(rows, pixels) * _STEP + columns * channel
    step = max(rows * columns * _STEP / _MACS[pairs], read / _BYTES)
    tile = prod(reduction) / _STEP * step + rows * columns * _EPILOGUE
    return _BEGIN + ceil(counts[at] / _MULTIPROCESSORS) * tile
