"""Schedule of "sparse" functions: their blocks become instructions, their tiles are spread over threads."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.tirx import PrimFunc

from . import _interleave
from ._common import parallel


def schedule(func: PrimFunc) -> Schedule:
    """The scheduled function, for AVX512-VNNI."""
    sch = Schedule(func)
    *_, y = func.params
    parallel(sch, func, sch.get_loops(sch.get_sblock("tile"))[0])
    sch.tensorize(sch.get_sblock("stage"), _interleave.columns())
    sch.tensorize(sch.get_sblock("acc"), _interleave.multiply_add())
    sch.tensorize(sch.get_sblock("out"), _interleave.rows(str(y.ty.dtype)))
    return sch
