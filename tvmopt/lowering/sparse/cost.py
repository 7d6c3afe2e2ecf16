"""Cycles that a product takes, dense and sparse, on one core: fitted to Zen 5; on Arm, to instructions in QEMU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...target import Target
from .form import AVX2, AVX512, DOTPROD, NEON, SCALAR, SSE2, VNNI, Form
from .slices import DEPTH, LANES

DENSEST = 0.75
"""Share of weights that are not zero above which no format is worth a look."""

MARGIN = 0.9
"""A sparse kernel must take less than this part of the dense one's cycles: the model errs by less."""

_TILE_MACS = 700  # a cycle with AMX, of 1024; an estimate (see ARCHITECTURE.md), no measurement
_BYTES = 28  # of weights a cycle, from beyond L1
_L1 = 48 * 1024  # bytes, in which a tile's input stays
_FILLED = 0.8  # share of a slice's places that hold a weight


@dataclass(frozen=True)
class _Rates:
    """Of a form: multiply-adds a cycle and cycles for an output, both dense; of a sparse tile, cycles for a step whose
    input is in L1, further away, or in an image; for an input that is staged, of a matrix or an image, and an output.
    """

    macs: float
    epilogue: float
    steps: tuple[float, float, float]
    staged: tuple[float, float]
    finished: tuple[float, float]


_RATES = {
    VNNI: _Rates(118, 0.17, (9.3, 12.0, 12.5), (3.9, 8), (7.7, 11.7)),
    AVX512: _Rates(50, 0.15, (5.8, 7.0, 8.5), (4, 7), (3.4, 5.4)),
    AVX2: _Rates(23.8, 0.4, (5.5, 7.5, 8.5), (2.3, 4), (2.9, 4.4)),
    SSE2: _Rates(10.1, 1.4, (5.9, 5.9, 6.4), (0.8, 3), (6.2, 6.2)),
    NEON: _Rates(3.05, 1.8, (98, 98, 102), (7.4, 13), (44, 44)),
    SCALAR: _Rates(0.37, 25, (12, 12, 12), (0, 0), (40, 40)),
    DOTPROD: _Rates(8.9, 1.7, (36, 36, 36), (10, 21), (42, 45)),
}


def dense(pixels: int, length: int, outputs: int, form: Form, target: Target) -> float:
    """Cycles of the dense kernel."""
    rates = _RATES[form]
    macs = _TILE_MACS if form == VNNI and "amx-int8" in target.features else rates.macs
    return outputs * (max(pixels / macs, 1 / _BYTES) * length + pixels * rates.epilogue)


def groups(pixels: int, length: int, outputs: int, steps: int, form: Form) -> float:
    """Cycles of ``product``: for every tile, its steps, its input transposed, its output finished and transposed."""
    rates = _RATES[form]
    step = rates.steps[length * form.pixels * np.dtype(form.x).itemsize > _L1]
    return form.count(pixels) * (step * steps + rates.staged[0] * length + rates.finished[0] * outputs)


def windows(padded: int, positions: int, channels: int, outputs: int, steps: int, form: Form) -> float:
    """Cycles of ``convolution`` for an image of so many padded positions, where windows begin at some."""
    rates = _RATES[form]
    staged = form.count(padded) * rates.staged[1] * channels
    return staged + form.count(positions) * (rates.steps[2] * steps + rates.finished[1] * outputs)


def slices(pixels: int, length: int, outputs: int, inputs: int, shared: int) -> float:
    """Cycles of ``matvec`` whose outputs, so many of them together, use so many inputs in all."""
    steps = inputs * shared / (LANES * DEPTH * _FILLED)
    return pixels * ((3.2 if shared == 1 else 2.9) * steps + length / 16 + outputs)
