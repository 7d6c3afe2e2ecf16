"""Every op that is not an int8 region: from Relax to fused TIR functions."""

from __future__ import annotations

import tvm
from tvm import relax, tirx
from tvm_ffi import structural_map

from .overrides import OVERRIDES


def legalize(mod: tvm.ir.IRModule) -> tvm.ir.IRModule:
    """Operator calls -> ``call_tir``; chains of elementwise ops -> one function; reshapes stay and cost nothing."""
    passes = [
        relax.backend.DispatchSortScan(),
        relax.transform.LegalizeOps(OVERRIDES, skip_ops=["relax.reshape"]),
        relax.transform.AnnotateTIROpPattern(),
        relax.transform.FoldConstant(),
        relax.transform.FuseOps(),
        relax.transform.FuseTIR(),
        relax.transform.DeadCodeElimination(["main"]),
    ]
    mod = tvm.transform.Sequential(passes)(mod)
    mod.update({gv: _settled(func) for gv, func in mod.functions_items() if isinstance(func, tirx.PrimFunc)})
    return mod


def _settled(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """What TVM writes loop by loop (scatter, unique, ...) leaves open: its buffers begin at 0, its loops are serial."""
    offsets = {param.ty.elem_offset for param in func.params if isinstance(param.ty.elem_offset, tirx.Var)}
    if not offsets:
        return func

    def serial(loop: tirx.For) -> tirx.For:
        if loop.kind != tirx.ForKind.PARALLEL:
            return loop
        return tirx.For(loop.loop_var, loop.min, loop.extent, tirx.ForKind.SERIAL, loop.body)

    return structural_map(
        func,
        [
            (tirx.Var, lambda var: tirx.const(0, var.ty.dtype) if var in offsets else var),
            (tirx.For, serial),
            (tirx.AttrStmt, lambda attr: attr.body if attr.attr_key == "pragma_scope" else attr),
        ],
    )
