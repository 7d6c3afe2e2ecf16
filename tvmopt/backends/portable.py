"""Kernels as portable C11, for processors that LLVM has no code generator for.

TVM's C code generator prints what it knows; here is what it does not, and what it would print inexactly.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import UnsupportedError
from . import source
from .image import Image, unpack_symbol

if TYPE_CHECKING:
    from tvm import ir, tirx

_LLVM = ("tirx.call_llvm_intrin", "tirx.call_llvm_pure_intrin")
_FMA = "llvm.fma of float32"


def write(image: Image, path: Path) -> None:
    """Write the kernels of an image, which was made to be portable.

    Raises UnsupportedError for an instruction that C has no function for.
    """
    import tvm

    kernels = image.kernels.mod.functions
    for func in kernels.values():
        if instructions := _instructions(func) - {_FMA}:
            raise UnsupportedError(f"a kernel needs {min(instructions)}, which C lacks", file=image.model.source)
    mod = tvm.IRModule({gv: _printable(func) for gv, func in kernels.items()})
    code = tvm.get_global_func("target.build.c")(mod, tvm.target.Target("c")).inspect_source()
    definitions = code.partition("__tvm_ffi__library_ctx = NULL;\n")[2]
    definitions = definitions.replace('#ifdef __cplusplus\nextern "C"\n#endif\nTVM_DLL ', "")
    # Declarations, which start a line: kernels are declared in model.c, functions of libm in math.h.
    definitions = re.sub(r"^\w.*\);\n", "", definitions, flags=re.MULTILINE)
    definitions = re.sub(r"^ *#pragma unroll.*\n", "", definitions, flags=re.MULTILINE)  # GCC knows it by another name
    source.fill("kernels.c", path, kernels=definitions.strip(), unpack=_declared(image), **source.header(image))


def _declared(image: Image) -> str:
    """What kernels call before it is defined."""
    return f"int32_t {unpack_symbol(image.name)}(int8_t *, uint32_t *, int8_t *, int32_t);\n\n" if image.savings else ""


def _printable(func: tirx.PrimFunc) -> tirx.PrimFunc:
    """Rewrites::

        reinterpret("int32", x)  -> tvmopt_int32(x)
        0.1f                     -> tvmopt_float32(0x3dcccccd)
        llvm.fma(x, y, z)        -> fmaf(x, y, z)
        clz(x), fabs(x)          -> __builtin_clz(x), fabsf(x) or fabs(x)
        buffer in scope "local"  -> buffer
        body                     -> body; return 0

    TVM would print the first as a cast of pointers, which C leaves undefined, and of the second six digits.
    """
    import tvm_ffi
    from tvm import ir, tirx

    buffers: dict[Any, Any] = {}

    def local(alloc: tirx.AllocBuffer) -> None:
        buffer, type_ = alloc.buffer, alloc.buffer.ty
        if buffer.scope() != "global":
            buffers[buffer] = tirx.decl_buffer(
                type_.shape, type_.dtype, buffer.name, data_alignment=type_.data_alignment
            )

    tvm_ffi.structural_walk(func.body, (tirx.AllocBuffer, local))
    global_ = (ir.Var, lambda var: buffers.get(var, var))
    body = tvm_ffi.structural_map(func.body, [global_, (ir.Call, _call), (tirx.FloatImm, _literal)])
    return func.with_body(tirx.SeqStmt([body, tirx.Return(tirx.IntImm("int32", 0))]))


def _call(call: ir.Call) -> Any:
    from tvm import tirx

    name = getattr(call.op, "name", "")
    if name == "tirx.reinterpret":
        return tirx.call_pure_extern(str(call.ty), f"tvmopt_{call.ty}", *call.args)
    if name == "prim.clz":
        return tirx.call_pure_extern(str(call.ty), "__builtin_clz", *call.args)
    if name == "tirx.fabs":
        return tirx.call_pure_extern(str(call.ty), "fabsf" if str(call.ty) == "float32" else "fabs", *call.args)
    if name in _LLVM:
        return tirx.call_pure_extern("float32", "fmaf", *call.args[-3:])
    return call


def _instructions(func: tirx.PrimFunc) -> set[str]:
    """Calls of what only LLVM knows, with their types."""
    import tvm_ffi
    from tvm import ir
    from tvm.target import codegen

    found: set[str] = set()

    def call(node: ir.Call) -> None:
        if getattr(node.op, "name", "") in _LLVM:
            found.add(f"{codegen.llvm_get_intrinsic_name(int(node.args[0]))} of {node.ty}")

    tvm_ffi.structural_walk(func.body, (ir.Call, call))
    return found


def _literal(number: tirx.FloatImm) -> Any:
    from tvm import tirx

    dtype = str(number.ty)
    bits = np.array(number.value, dtype).view(dtype.replace("float", "int"))
    return tirx.call_pure_extern(dtype, f"tvmopt_{dtype}", tirx.IntImm(str(bits.dtype), int(bits)))
