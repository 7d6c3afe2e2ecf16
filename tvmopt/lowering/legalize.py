"""Every op that is not an int8 region: from Relax to fused TIR functions."""

from __future__ import annotations

import tvm
from tvm import relax, te, tirx, topi
from tvm_ffi import structural_map

from .quantize import dequantized, quantized


def legalize(mod: tvm.ir.IRModule) -> tvm.ir.IRModule:
    """Operator calls -> ``call_tir``; chains of elementwise ops -> one function; reshapes stay and cost nothing."""
    passes = [
        relax.backend.DispatchSortScan(),
        relax.transform.LegalizeOps(
            {"relax.quantize": _quantize, "relax.dequantize": _dequantize, "relax.take": _take},
            skip_ops=["relax.reshape"],
        ),
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


def _quantize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """ONNX QuantizeLinear, also where the scale is computed at run time."""

    def compute(x: te.Tensor, scale: te.Tensor, zero_point: te.Tensor) -> te.Tensor:
        def element(*index: te.Var) -> te.Expr:
            channel = _channel(scale, index, call)
            return quantized(x[index], scale[channel], zero_point[channel].astype("int32"), str(call.attrs.out_dtype))

        return te.compute(x.shape, element, "quantized")

    return builder.call_te(compute, *call.args, primfunc_name_hint="quantize")


def _dequantize(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """ONNX DequantizeLinear, also where the scale is computed at run time."""

    def compute(x: te.Tensor, scale: te.Tensor, zero_point: te.Tensor) -> te.Tensor:
        def element(*index: te.Var) -> te.Expr:
            channel = _channel(scale, index, call)
            return dequantized(x[index], scale[channel], zero_point[channel].astype("int32"))

        return te.compute(x.shape, element, "dequantized")

    return builder.call_te(compute, *call.args, primfunc_name_hint="dequantize")


def _channel(scale: te.Tensor, index: tuple[te.Var, ...], call: relax.Call) -> tuple[te.Var | int, ...]:
    """Which scale an element has: none to choose from, or the one of its channel."""
    if scale.ndim == 0:
        return ()
    return (0,) if int(scale.shape[0]) == 1 else (index[int(call.attrs.axis)],)


def _take(builder: relax.BlockBuilder, call: relax.Call) -> relax.Expr:
    """ONNX Gather: a negative index counts from the end. One out of range, which ONNX forbids, reads the first or last
    element, not other memory."""
    axis = None if call.attrs.axis is None else int(call.attrs.axis)

    def compute(x: te.Tensor, indices: te.Tensor) -> te.Tensor:
        size = x.shape[axis or 0].astype(indices.dtype)
        from_begin = lambda *at: tirx.Select(indices[at] < 0, indices[at] + size, indices[at])  # noqa: E731
        return topi.take(x, te.compute(indices.shape, from_begin, "from_begin"), axis=axis, mode="clip")

    return builder.call_te(compute, *call.args, primfunc_name_hint="take")
