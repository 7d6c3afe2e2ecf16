"""Candidates to shared libraries, as they will be in artifacts: what runs in the worker processes that build."""

from __future__ import annotations

import functools
import pickle
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ..errors import TvmoptError
from ..target import Target
from .task import Decisions, Task

KERNEL = "tvmopt_kernel"
"""The symbol of a candidate."""


@dataclass(frozen=True)
class Build:
    """A request: the candidate ``decisions`` of the pickled task ``task`` as the library ``path``.

    parts : objects to link with it.
    """

    task: Path
    decisions: Decisions
    path: Path
    parts: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Built:
    """The answer: ``path`` has the function ``KERNEL``, whose parameters are the addresses of the task's buffers and
    then of scratch buffers of these bytes."""

    path: Path
    scratch: tuple[int, ...]


def prepare(linker: tuple[str, ...]) -> Callable[[Build], Built]:
    """Set up a worker.

    linker : a command that makes a shared library of objects.
    """
    import tvm  # noqa: F401  (seconds, which only the worker's program spends)

    from .. import lowering  # noqa: F401
    from ..backends import kernels, library
    from . import space

    def build(request: Build) -> Built:
        task = _task(request.task)
        func = space.apply(task, request.decisions)
        threads = int(func.attrs.get("tvmopt.threads", 1))
        lowered = kernels.lower({KERNEL: (func, {})}, task.target, stack_bytes=library.STACK_BYTES, threads=threads)
        unlinked = request.path.with_suffix(".o")
        kernels.write_object(lowered, task.target, unlinked)
        link([*linker, "-o", str(request.path), str(unlinked), *map(str, request.parts)])
        unlinked.unlink()
        return Built(request.path, lowered.scratch[KERNEL])

    return build


@functools.lru_cache(maxsize=256)
def _task(path: Path) -> Task:
    with path.open("rb") as file:
        return pickle.load(file)  # ours: written by the process that asks


def linker(target: Target, threads: int = 1) -> tuple[str, ...]:
    """The command that links candidates: the linker itself, which takes a fifth of a compiler's time, if there is one
    and nothing but kernels is to be linked.

    Raises DependencyError where neither is installed.
    """
    from ..backends import link as compilers

    (compiler, *options) = compilers.compiler(target)
    found = (
        shutil.which(compiler.removesuffix("gcc").removesuffix("cc") + "ld") if threads == 1 and not options else None
    )
    return (found, "-shared") if found else (compiler, *options, "-shared", "-pthread")


def parts(target: Target, threads: int, folder: Path) -> tuple[Path, ...]:
    """Objects that candidates are linked with: what runs parallel loops, where there are several threads."""
    from ..backends import link as compilers
    from ..backends import source

    if threads == 1:
        return ()
    pool = [str(source.template("parallel.c"))]
    (made,) = compilers.objects(compilers.compiler(target), pool, [f"-DTHREADS={threads}"], folder)
    return (folder / made,)


def link(command: list[str]) -> None:
    """Run a linker; what it says is the error when it fails."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise TvmoptError(f"{Path(command[0]).name} failed: {done.stderr.strip()}")
