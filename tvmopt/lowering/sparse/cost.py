"""Cycles that a product takes, dense and sparse, on one core with AVX512-VNNI (fitted to Zen 5)."""

from __future__ import annotations

from math import ceil

from ...target import Target
from .slices import DEPTH, LANES
from .tile import PIXELS

DENSEST = 0.75
"""Share of weights that are not zero above which no format is worth a look."""

MARGIN = 0.9
"""A sparse kernel must take less than this part of the dense one's cycles: the model errs by less."""

_MACS = 118  # a cycle; two instructions of 64 are the most
_TILE_MACS = 700  # a cycle with AMX, of 1024: what benchmarks/amx.py estimates for ResNet-50; not measured
_BYTES = 28  # of weights a cycle, from beyond L1
_L1 = 48 * 1024  # bytes, in which a tile's input stays
_EPILOGUE = 0.17  # cycles for an output
_FILLED = 0.8  # share of a slice's places that hold a weight


def dense(pixels: int, length: int, outputs: int, target: Target) -> float:
    """Cycles of the dense kernel."""
    macs = _TILE_MACS if "amx-int8" in target.features else _MACS
    return outputs * (max(pixels / macs, 1 / _BYTES) * length + pixels * _EPILOGUE)


def groups(pixels: int, length: int, outputs: int, steps: int) -> float:
    """Cycles of ``product``: for every tile, its steps, its input transposed, its output finished and transposed."""
    step = 9.3 if length * PIXELS <= _L1 else 12.0
    return ceil(pixels / PIXELS) * (step * steps + 5 * length + 10 * outputs)


def windows(padded: int, positions: int, channels: int, outputs: int, steps: int) -> float:
    """Cycles of ``convolution`` for an image of so many padded positions, where windows begin at some."""
    staged = ceil(padded / PIXELS) * 8 * channels
    return staged + ceil(positions / PIXELS) * (12.5 * steps + 13 * outputs)


def slices(pixels: int, length: int, outputs: int, weights: int) -> float:
    """Cycles of ``matvec`` with so many weights that are not zero."""
    steps = weights / (LANES * DEPTH * _FILLED)
    return pixels * (3.2 * steps + length / 16 + outputs)
