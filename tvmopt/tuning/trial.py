"""One candidate on this machine, checked and timed: what runs in the worker process that measures."""

from __future__ import annotations

import mmap
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from . import inputs, stopwatch
from .builder import KERNEL, Built
from .inputs import Buffer
from .task import Result

GUARD = 4096
"""Bytes around each buffer that a kernel writes, which it has to leave alone."""


@dataclass(frozen=True)
class Trial:
    """A request: check a candidate, time it.

    Attributes
    ----------
    built    : the candidate.
    buffers  : parameters of the kernel.
    folder   : of the task: inputs, and expected outputs.
    best     : seconds of the best candidate known. None for the default schedule, whose outputs become the expected
               ones, on inputs that are made.
    """

    built: Built
    buffers: tuple[Buffer, ...]
    folder: Path
    best: float | None


@dataclass(frozen=True)
class Setup:
    """helper : the compiled ``stopwatch.source``; flush_bytes : read before each run that is timed."""

    helper: Path
    flush_bytes: int


def prepare(setup: Setup) -> Callable[[Trial], Result]:
    """Set up a worker."""

    def serve(trial: Trial) -> Result:
        return run(trial, setup)

    return serve


def run(trial: Trial, setup: Setup) -> Result:
    """Check that the outputs are the expected ones on all sets of inputs, then time the first set."""
    watch = stopwatch.Stopwatch(setup.helper, trial.built.path, KERNEL, setup.flush_bytes)
    read = [buffer for buffer in trial.buffers if not buffer.written]
    written = [buffer for buffer in trial.buffers if buffer.written]
    memory, expected = trial.folder / "inputs", trial.folder / "expected"
    if trial.best is None:
        write_inputs(read, memory)
    given = _Mapped(read, memory)
    made = [_Guarded(buffer.nbytes) for buffer in written]
    scratch = [_Guarded(nbytes) for nbytes in trial.built.scratch]

    def addresses(number: int) -> list[int]:
        sources, sinks = iter(given.addresses(number)), iter(made)
        ours = [next(sinks).address if buffer.written else next(sources) for buffer in trial.buffers]
        return [*ours, *(block.address for block in scratch)]

    outputs = []
    for number in range(inputs.SETS):
        for block in (*made, *scratch):
            block.fill(0x5A if trial.best is None else 0xA5)  # what nobody writes differs
        watch(addresses(number))
        if not all(block.intact() for block in (*made, *scratch)):
            return Result("wrong", (), f"writes beyond its buffers (inputs {number})")
        outputs.append(b"".join(block.content() for block in made))
    if trial.best is None:
        expected.write_bytes(b"".join(outputs))
        return Result("ok")
    if difference := _difference(b"".join(outputs), expected.read_bytes()):
        return Result("wrong", (), difference)
    arguments = addresses(0)
    times, given_up = stopwatch.repeat(lambda runs: watch(arguments, runs), trial.best)
    return Result("slow", times, "clearly slower than the best") if given_up else Result("ok", times)


def write_inputs(read: list[Buffer], path: Path) -> None:
    """Write all sets of inputs, each buffer at a multiple of the alignment."""
    with path.open("wb") as file:
        for number in range(inputs.SETS):
            for buffer, array in zip(read, inputs.draw(read, number), strict=True):
                file.write(array.tobytes().ljust(buffer.padded, b"\0"))


def _difference(got: bytes, expected: bytes) -> str:
    """How outputs differ from those of the default schedule; "" where they do not."""
    differing = np.flatnonzero(np.frombuffer(got, np.uint8) != np.frombuffer(expected, np.uint8))
    if not differing.size:
        return ""
    number = int(differing[0]) * inputs.SETS // len(expected)
    return f"{differing.size} of {len(expected)} bytes differ from the default schedule's, first with inputs {number}"


class _Mapped:
    """All sets of inputs, in memory that ends a process which writes to it."""

    def __init__(self, read: list[Buffer], path: Path) -> None:
        with path.open("rb") as file:
            # An empty file cannot be mapped, and nothing reads it.
            data = mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) if path.stat().st_size else b""
        self._data = np.frombuffer(data, np.uint8)
        self._offsets = np.cumsum([0, *(buffer.padded for buffer in read)]).tolist()

    def addresses(self, number: int) -> list[int]:
        *offsets, size = self._offsets
        start = self._data.__array_interface__["data"][0] + number * size
        return [start + offset for offset in offsets]


class _Guarded:
    """Memory for a kernel to write to, between memory that it must not write to."""

    def __init__(self, nbytes: int) -> None:
        memory = np.empty(nbytes + 2 * GUARD + inputs.ALIGNMENT, np.uint8)
        skip = -memory.__array_interface__["data"][0] % inputs.ALIGNMENT
        self._all = memory[skip : skip + nbytes + 2 * GUARD]
        self.address = self._all.__array_interface__["data"][0] + GUARD

    def fill(self, value: int) -> None:
        self._all.fill(value)

    def intact(self) -> bool:
        around = np.concatenate([self._all[:GUARD], self._all[-GUARD:]])
        return bool((around == around[0]).all()) and around[0] in (0xA5, 0x5A)

    def content(self) -> bytes:
        return self._all[GUARD:-GUARD].tobytes()
