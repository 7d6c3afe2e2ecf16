"""Schedule of "sparse" functions: their blocks become instructions, their tiles are spread over threads."""

from __future__ import annotations

from collections.abc import Callable

from tvm.s_tir import Schedule
from tvm.tirx import PrimFunc

from . import _interleave
from ._common import parallel
from ._forms import Form


def schedule(func: PrimFunc, of: Callable[[int, int], Form]) -> Schedule:
    """The scheduled function. of : gives the instruction set's form of so many lanes and such a depth."""
    sch = Schedule(func)
    parallel(sch, func, sch.get_loops(sch.get_sblock("tile"))[0])
    acc, out = sch.get_sblock("acc"), sch.get_sblock("out")
    depth, pixels = (int(each.extent) for each in sch.get(acc).reads[1].region)
    form = of(pixels // depth, depth)
    stage = sch.get_sblock("stage")
    sch.tensorize(stage, _interleave.columns(form, int(sch.get(stage).writes[0].region[0].extent)))
    sch.tensorize(acc, _interleave.multiply_add(form))
    words, (result,) = sch.get(out).reads[0].region[0].extent, sch.get(out).writes
    dtype = str(result.source.dtype)
    if dtype != "float32":
        block = sch.get_sblock("bytes")
        flip = int(sch.get(block).annotations["tvmopt.flip"])
        sch.unannotate(block, "tvmopt.flip")
        sch.tensorize(block, _interleave.narrow(form, flip))
    sch.tensorize(out, _interleave.rows(form, dtype, int(words)))
    return sch
