"""One candidate, checked and timed: what is asked of ``templates/trial.c``, which does it, and what it says.

The program takes files, so that a board needs nothing else than to have them.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

from ..target import Target
from . import inputs
from .builder import KERNEL
from .inputs import Buffer
from .task import Result, Status
from .worker import Limits

ARGUMENTS = 24
"""Buffers that a kernel may have."""


_READ, _WRITTEN, _SCRATCH, _COLD = range(4)
"""Kinds of buffers, as in ``templates/trial.c``."""


@dataclass(frozen=True)
class Request:
    """Check a candidate, and time it.

    Attributes
    ----------
    candidate, inputs, expected, result : files, see ``templates/trial.c``.
    buffers     : of the kernel.
    scratch     : bytes of its scratch buffers.
    limits      : what it may use.
    best        : seconds of the best candidate known, infinity where there is none; what is much slower is given up.
                  0 for the default schedule: its outputs become the expected ones.
    flush_bytes : of other memory that are read before each run that is timed.
    """

    candidate: str
    inputs: str
    expected: str
    result: str
    buffers: tuple[Buffer, ...]
    scratch: tuple[int, ...]
    limits: Limits
    best: float
    flush_bytes: int

    def text(self) -> str:
        """As the program reads it."""
        sizes = [f"{buffer.nbytes} {_kind(buffer)}" for buffer in self.buffers]
        sizes += [f"{nbytes} {_SCRATCH}" for nbytes in self.scratch]
        limits = f"{self.limits.seconds} {self.limits.mebibytes}"
        how = f"{self.best} {self.flush_bytes} {inputs.SETS} {len(sizes)}"
        return "\n".join([self.candidate, self.inputs, self.expected, self.result, limits, how, *sizes, ""])


def _kind(buffer: Buffer) -> int:
    if buffer.written:
        return _WRITTEN
    return _COLD if buffer.cold else _READ


def parse(text: str) -> Result:
    """The result that the program wrote."""
    status, message, *times = text.split("\n")[:-1]
    assert status in get_args(Status), status
    return Result(status, tuple(map(float, times)), message)  # type: ignore[arg-type]


def write_inputs(buffers: Sequence[Buffer], path: Path) -> None:
    """Write all sets of inputs."""
    read = [buffer for buffer in buffers if not buffer.written]
    with path.open("wb") as file:
        for number in range(inputs.SETS):
            for buffer, array in zip(read, inputs.draw(read, number), strict=True):
                file.write(array.tobytes().ljust(buffer.padded, b"\0"))


def compile_program(target: Target, folder: Path) -> Path:
    """The program, a shared library for ``target``. Raises DependencyError without a C compiler for it."""
    from ..backends import cpu, link, source

    includes, check = cpu.check(target, "trial")
    calls = (
        f"    case {n}: ((int (*)({', '.join(['P'] * n)}))kernel)({', '.join(f'p[{i}]' for i in range(n))}); break;"
        for n in range(1, ARGUMENTS + 1)
    )
    source.fill(
        "trial.c",
        folder / "trial.c",
        includes=includes,
        check=check,
        calls="\n".join(calls),
        symbol=KERNEL,
        target=target.name,
    )
    link.run([*link.compiler(target), "-O2", "-fPIC", "-shared", "-o", "trial.so", "trial.c", "-ldl"], folder)
    return folder / "trial.so"


def prepare(program: Path) -> Callable[[tuple[Path, Request]], Result]:
    """Set up a worker that runs candidates on this machine."""
    library = ctypes.CDLL(str(program))

    def serve(asked: tuple[Path, Request]) -> Result:
        path, request = asked
        path.write_text(request.text())
        if library.tvmopt_trial(str(path).encode()):
            raise RuntimeError(f"a request with {len(request.buffers)} buffers was not understood")
        result = Path(request.result)
        answer = parse(result.read_text())
        result.unlink()
        return answer

    return serve
