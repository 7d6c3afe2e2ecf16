"""AVX512-VNNI: u8 x s8 products summed in fours (vpdpbusd), wider ones in pairs (vpmaddwd); sparse weights."""

from __future__ import annotations

from dataclasses import dataclass

from tvm.s_tir import Schedule
from tvm.target import Target
from tvm.tirx import PrimFunc

from . import _image, _quads, _sparse_matvec
from ._dots import Dots


@dataclass(frozen=True)
class Vnni(Dots):
    """Takes sparse products of few rows, depthwise ones by quads, and images to quantize, too."""

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | None:
        """The schedule of ``func``, None when it is something else."""
        op = None if func.attrs is None else func.attrs.get("tvmopt.op")
        if op == "sparse_matvec":
            return _sparse_matvec.schedule(func)
        if op == "image":
            return _image.schedule(func)
        if op == "quads":
            return _quads.schedule(func, tunable)
        return super().apply(func, target, tunable)


def rule() -> Vnni:
    """The rule of this module."""
    return Vnni(frozenset({2, 4, 8}))
