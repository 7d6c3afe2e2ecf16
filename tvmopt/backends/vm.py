"""A model as an executable of TVM's virtual machine: for shapes that are known only at run time."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import tvm
from tvm import relax
from tvm.relax import transform
from tvm.tirx import compilation_pipeline

from .. import abi
from ..model import Model
from ..runtime import vm
from ..target import Target
from . import cpu, kernels, link

_TIR_PIPELINE = "tvmopt"
# As in library.py: accumulators.
_STACK_BYTES = 4096

_CHECK = """\
#include <stdint.h>
{includes}
enum {{ TVMOPT_OK, TVMOPT_CPU }};
{check}
"""


def build(model: Model, target: Target, manifest: dict[str, Any]) -> bytes:
    """Compile a lowered model; returns the file.

    manifest : what the file tells of itself.

    Raises DependencyError without a C compiler, which links the file.
    """
    compilation_pipeline.register_tir_pipeline(_TIR_PIPELINE, _tir_pipeline)
    executable = relax.build(model.mod, target.tvm(), relax_pipeline=pipeline(), tir_pipeline=_TIR_PIPELINE)
    return abi.seal(vm.attach(library(executable, target), manifest))


def _tir_pipeline() -> tuple[Any, Any, Any]:
    """TVM's own, but for small local buffers: they stay on the stack."""
    lower, finish_host, finish_device = tvm.tirx.get_tir_pipeline("s_tir")
    return (
        lower,
        lambda: tvm.transform.Sequential([kernels.keep_on_stack(_STACK_BYTES), finish_host()]),
        finish_device,
    )


def pipeline(planned: Sequence[tvm.transform.Pass] = ()) -> tvm.transform.Pass:
    """The passes from a lowered model to functions of the virtual machine.

    planned : passes that run once memory is planned.
    """
    return tvm.transform.Sequential(
        [
            transform.ToNonDataflow(),
            transform.RemovePurityChecking(),
            transform.CallTIRRewrite(),
            transform.StaticPlanBlockMemory(),
            *planned,
            transform.LowerAllocTensor(),
            transform.KillAfterLastUse(),
            transform.LowerRuntimeBuiltin(),
            transform.ComputePrimValue(),
            transform.VMShapeLower(),
            transform.AttachGlobalSymbol(),
        ]
    )


def library(executable: relax.VMExecutable, target: Target) -> bytes:
    """A shared library that holds an executable, and refuses CPUs that cannot run it.

    Raises DependencyError without a C compiler.
    """
    compiler = link.compiler(target)
    with tempfile.TemporaryDirectory(prefix="tvmopt-") as name:
        folder = Path(name)
        includes, check = cpu.check(target, "model")
        (folder / "check.c").write_text(_CHECK.format(includes=includes, check=check))
        checked = link.objects(compiler, ["check.c"], [], folder)

        def shared(output: str, objects: list[str], options: list[str] | None = None) -> None:
            link.run([*compiler, "-shared", *(options or []), "-o", output, *checked, *objects, "-lm"], folder)

        executable.export_library(str(folder / "model.so"), fcompile=shared)
        return (folder / "model.so").read_bytes()
