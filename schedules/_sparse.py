"""Schedule of "sparse" functions: their blocks become instructions, their tiles are spread over threads."""

from __future__ import annotations

from tvm.s_tir import Schedule
from tvm.tirx import PrimFunc

from . import _interleave
from ._common import parallel


def schedule(func: PrimFunc) -> Schedule:
    """The scheduled function, for AVX512-VNNI."""
    sch = Schedule(func)
    parallel(sch, func, sch.get_loops(sch.get_sblock("tile"))[0])
    sch.tensorize(sch.get_sblock("stage"), _interleave.columns())
    sch.tensorize(sch.get_sblock("acc"), _interleave.multiply_add())
    out = sch.get_sblock("out")
    words, (result,) = sch.get(out).reads[0].region[0].extent, sch.get(out).writes
    dtype = str(result.source.dtype)
    if dtype == "uint8":
        sch.tensorize(sch.get_sblock("bytes"), _interleave.narrow())
    sch.tensorize(out, _interleave.rows(dtype, int(words)))
    return sch
