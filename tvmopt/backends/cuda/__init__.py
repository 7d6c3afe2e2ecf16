"""A model for an NVIDIA GPU: TVM's virtual machine calls kernels that were compiled ahead of time."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from typing import Any

import tvm
import tvm_ffi
from tvm import relax
from tvm_ffi import structural_map, structural_walk

from ... import abi
from ...model import Model
from ...runtime import cuda as runtime
from ...runtime import vm as host
from ...target import Target
from .. import inplace, vm
from . import compiler, workspace


def build(model: Model, target: Target, manifest: dict[str, Any]) -> bytes:
    """Compile a lowered model; returns the file: host code, then device code, which ``manifest`` tells of.

    What runs between input and output with shapes known at compile time is captured as a CUDA graph when it first runs.

    Raises DependencyError without a compiler for the GPU or for the host.
    """
    assert target.cuda is not None
    mod = workspace.lift(model.mod)
    mod.update({gv: _named(func) for gv, func in mod.functions_items() if isinstance(func, tvm.tirx.PrimFunc)})
    passes = vm.pipeline([relax.transform.RewriteCUDAGraph()])
    shared = _Shared()
    context = tvm.transform.PassContext(config={"relax.backend.use_cuda_graph": True}, instruments=[shared])
    with _source() as sources, context:
        executable = relax.build(mod, target.tvm(), relax_pipeline=passes)
    code = compiler.compile("\n".join(sources), target.cuda.arch)
    library = vm.library(executable, target)
    kernels = {
        name: asdict(replace(usage, shared=usage.shared + shared.bytes[name])) for name, usage in code.usage.items()
    }
    images, device = runtime.pack(len(library), {"cubin": code.cubin, "ptx": code.ptx + b"\0"})
    facts = {"arch": code.arch, "toolkit": code.toolkit, "images": images, "kernels": kernels}
    return abi.seal(host.attach(library + device, manifest | {"cuda": facts}))


def _named(func: tvm.tirx.PrimFunc) -> tvm.tirx.PrimFunc:
    """``func`` with names that CUDA C++ takes; tensors of ONNX may have any."""
    names: dict[tvm.ir.Var, tvm.ir.Var] = {}

    def rename(var: tvm.ir.Var) -> tvm.ir.Var:
        if re.fullmatch(r"[A-Za-z_]\w*", var.name, re.ASCII):
            return var
        return names.setdefault(var, tvm.ir.Var(re.sub(r"\W", "_", f"v_{var.name}", flags=re.ASCII), var.ty))

    return structural_map(func, [(tvm.ir.Var, rename)])


@tvm.instrument.pass_instrument
class _Shared:
    """Notes how many bytes of shared memory the launch of a kernel asks for; the compiler knows of static ones only."""

    def __init__(self) -> None:
        self.bytes: dict[str, int] = {}

    def run_before_pass(self, mod: tvm.ir.IRModule, info: tvm.ir.transform.PassInfo) -> None:
        """When kernels have been split off, but have no launches yet."""
        if info.name == "tirx.MakePackedAPI":
            for func in mod.functions.values():
                self.bytes[str(func.attrs["global_symbol"])] = _dynamic(func)


def _dynamic(func: tvm.tirx.PrimFunc) -> int:
    """Bytes of dynamic shared memory that a function allocates."""
    found: list[int] = []

    def note(alloc: tvm.tirx.AllocBuffer) -> None:
        if alloc.buffer.scope() == "shared.dyn":
            found.append(inplace.size(alloc.buffer.ty))

    structural_walk(func.body, (tvm.tirx.AllocBuffer, note))
    return sum(found)


@contextmanager
def _source() -> Iterator[list[str]]:
    """Takes the CUDA C++ of what is built meanwhile, and leaves a name in its place.

    Otherwise the artifact would hold source, to be compiled where it is loaded; or machine code for this machine's GPU,
    where there is one: hence the variable.
    """
    sources: list[str] = []

    def take(code: str, target: tvm.target.Target) -> str:
        sources.append(code)
        return runtime.PLACE

    before = os.environ.get("TVM_COMPILE_FORCE_FALLBACK")
    os.environ["TVM_COMPILE_FORCE_FALLBACK"] = "1"
    tvm_ffi.register_global_func("tvm_callback_cuda_postproc", take, override=True)
    try:
        yield sources
    finally:
        tvm_ffi.registry.remove_global_func("tvm_callback_cuda_postproc")
        if before is None:
            del os.environ["TVM_COMPILE_FORCE_FALLBACK"]
        else:
            os.environ["TVM_COMPILE_FORCE_FALLBACK"] = before
