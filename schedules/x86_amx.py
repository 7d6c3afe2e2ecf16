"""AMX: tiles of 16 places by 64 elements of u8 times 64 elements by 16 outputs of s8 (tdpbusd), packed as for VNNI."""

from __future__ import annotations

from dataclasses import dataclass

from tvm.s_tir import Schedule
from tvm.target import Target
from tvm.tirx import PrimFunc

from . import _amx_kernel, _amx_tile, _contraction
from ._common import Decisions, Product, copy, find


@dataclass(frozen=True)
class Amx:
    """Takes contractions that a model of their cycles gives to tiles rather than to vectors."""

    version: int = 1

    def apply(self, func: PrimFunc, target: Target, tunable: bool) -> Schedule | None:
        """The schedule of ``func``, None when it is something else."""
        if Product.of(func) != Product("contraction", _amx_tile.LANES, 4, "int8"):
            return None
        sch, threads = Schedule(func), int(func.attrs.get("tvmopt.threads", 1))
        of = _amx_tile.Contraction(sch)
        tile = _amx_tile.choose(of, Decisions(sch, tunable), threads)
        if tile is None:
            return None
        for name, prepare in (("stage", copy), ("pack", _contraction.pack)):
            if (block := find(sch, name)) is not None:
                prepare(sch, func, block)
        return _amx_kernel.write(sch, of, tile, threads > 1)


def rule() -> Amx:
    """The rule of this module."""
    return Amx()
