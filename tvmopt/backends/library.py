"""A model as a Linux shared library that needs nothing but libc and libm: ``tvmopt_model_run`` and what it calls."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .. import abi
from ..model import Model
from ..runtime.artifact import BESIDE
from ..runtime.systolic import Program
from ..runtime.systolic.engine import attach
from ..target import Target
from . import image, kernels, link, simulated, source
from .systolic import text

# Kernel buffers up to this size stay on the stack: accumulator tiles that should live in registers.
STACK_BYTES = 4096

_FUNCTIONS = ("describe", "check", "run")


def plan(model: Model, target: Target, threads: int = 1, name: str = abi.NAME) -> image.Image:
    """What a library is made of. Raises UnsupportedError for a model that is not static."""
    alignment = max(16, target.vector_bytes)
    return image.make(model, target, name, alignment=alignment, stack_bytes=STACK_BYTES, threads=threads)


def build(
    model: Model,
    target: Target,
    manifest: dict[str, Any],
    threads: int = 1,
    beside: Path | None = None,
    programs: Mapping[str, Program] | None = None,
    name: str = abi.NAME,
) -> bytes:
    """Compile a lowered model; returns the file.

    manifest : what the library tells of itself, to which the plan of its memory is added.
    threads  : that one call uses; the library has workers of its own if there is more than one.
    beside   : where to write, with suffixes of their own, what else there is for people: ``BESIDE``.
    programs : command streams of a systolic array, for each of its subgraphs.
    name     : of the model in C. Loaders find the functions by the usual name, too; a program that is linked with
               several libraries finds each by its own.

    Raises UnsupportedError for a model that is not static, DependencyError without a C compiler.
    """
    compiler = link.compiler(target)
    made = plan(model, target, threads, name)
    with tempfile.TemporaryDirectory(prefix="tvmopt-") as temporary:
        folder = Path(temporary)
        source.write(made, folder, manifest)
        kernels.write_object(made.kernels, target, folder / f"{name}_kernels.o")
        sources, flags = [f"{name}.c", f"{name}_data.S"], []
        if threads > 1:
            shutil.copy(source.template("parallel.c"), folder)
            sources.append("parallel.c")
            flags = ["-pthread", f"-DTHREADS={threads}"]
        own, usual = ([f"tvmopt_{called}_{function}" for function in _FUNCTIONS] for called in (name, abi.NAME))
        exports = [*dict.fromkeys([*own, *usual])]
        if simulated.subgraphs(made):
            simulated.write(made, folder)
            sources.append(simulated.FILE)
            exports.append(simulated.EXPORT)
        if programs:
            text.write(programs, folder / f"{name}.stream.txt")
        (folder / "exports").write_text(f"{{ global: {' '.join(f'{one};' for one in exports)} local: *; }};\n")
        objects = [f"{name}_kernels.o", *link.objects(compiler, sources, flags, folder)]
        same = [] if name == abi.NAME else [f"-Wl,--defsym={a}={b}" for a, b in zip(usual, own, strict=True)]
        options = ["-shared", *same, *flags, "-Wl,--version-script=exports", "-Wl,-z,defs", "-Wl,-S"]
        link.run([*compiler, *options, "-o", "model.so", *objects, "-lm"], folder)
        if beside is not None:
            for suffix in BESIDE:
                if (folder / f"{name}{suffix}").exists():
                    shutil.copy(folder / f"{name}{suffix}", beside.with_suffix(suffix))
        library = (folder / "model.so").read_bytes()
        return abi.seal(attach(library, programs) if programs else library)
