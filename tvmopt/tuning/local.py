"""Measuring on this machine: candidates are built on all its cores, then run one after the other on a quiet one."""

from __future__ import annotations

import itertools
import math
import os
import pickle
import platform
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from .. import target as targets
from ..errors import TuningError
from ..target import Target
from . import builder, inputs, space, stopwatch, trial
from .builder import Build, Built
from .pool import spread
from .task import Decisions, Result, Status, Task
from .trial import Trial
from .worker import Failed, Limits, Worker


class LocalMeasurer:
    """Measures tasks of one target on this machine.

    Nothing is built while a candidate runs, and the process that runs it stays on the last of the CPUs that are
    allowed (the last ``threads`` of them), so that candidates are timed under the same conditions.

    Attributes
    ----------
    best : seconds of the fastest candidate of each workload so far; what is much slower is given up early. A
           campaign that goes on may fill it from its records.
    """

    def __init__(
        self,
        target: Target,
        threads: int = 1,
        *,
        builders: int | None = None,
        building: Limits = Limits(30, 4096),  # noqa: B008  (immutable)
        running: Limits = Limits(10, 4096),  # noqa: B008
        flush_bytes: int = 0,
    ) -> None:
        """builders    : processes that build; one for each CPU by default.
        building    : what building a candidate may use; running : what checking and timing it may use.
        flush_bytes : of other memory to read before each run that is timed: as many as a cache has, to time
                      candidates that find their data in the next one.

        Raises TuningError for a target that this machine is not, DependencyError without a C compiler.
        """
        from ..backends import link, source

        _require(target)
        cores = sorted(os.sched_getaffinity(0))
        if threads > len(cores):
            raise TuningError(f"{threads} threads cannot be timed on {len(cores)} CPUs")
        self.best: dict[str, float] = {}
        self._folder = tempfile.TemporaryDirectory(prefix="tvmopt-tuning-")
        self._path = Path(self._folder.name)
        compiler = [*link.compiler(target), "-O2", "-fPIC"]
        (self._path / "stopwatch.c").write_text(stopwatch.source())
        link.run([*compiler, "-shared", "-o", "stopwatch.so", "stopwatch.c"], self._path)
        self._parts: tuple[Path, ...] = ()
        if threads > 1:
            parallel = str(source.template("parallel.c"))
            link.run([*compiler, "-std=c11", f"-DTHREADS={threads}", "-c", "-o", "parallel.o", parallel], self._path)
            self._parts = (self._path / "parallel.o",)
        setup = trial.Setup(self._path / "stopwatch.so", flush_bytes)
        self._start_builder = lambda: Worker("tvmopt.tuning.builder:prepare", builder.linker(target, threads), building)
        self._start_runner = lambda: Worker(
            "tvmopt.tuning.trial:prepare", setup, running, once=True, cores=cores[-threads:]
        )
        self._builders_wanted = builders or len(cores)
        self._builders: list[Worker] = []
        self._runners: list[Worker] = []
        self._references: dict[str, _Reference] = {}
        self._number = itertools.count()

    def measure(self, batch: Sequence[tuple[Task, Decisions]]) -> Iterator[tuple[int, Result]]:
        """See ``Measurer``. A task whose default schedule cannot be run has "run" for all its candidates."""
        while len(self._builders) < self._builders_wanted:
            self._builders.append(self._start_builder())
        if not self._runners:
            self._runners.append(self._start_runner())
        new = {task.workload: task for task, _ in batch if task.workload not in self._references}
        self._references |= {workload: _Reference(self._path, task) for workload, task in new.items()}
        built: dict[int, Built] = {}
        for (workload, index), answer in spread(self._builders, self._builds(batch, new)):
            if index is None:
                self._references[workload].default = answer
            elif isinstance(answer, Failed):
                yield index, _result(answer, "build")
            else:
                built[index] = answer
        for reference, answer in spread(self._runners, self._defaults(new)):
            reference.status = _result(answer, "run")
        for index in built:
            refused = self._references[batch[index][0].workload].refused
            if refused:
                yield index, Result("run", (), refused)
        for index, answer in spread(self._runners, self._trials(batch, built)):
            result = _result(answer, "run")
            built[index].path.unlink()
            if result.status == "ok":
                workload = batch[index][0].workload
                self.best[workload] = min(*result.seconds, self.best.get(workload, math.inf))
            yield index, result

    def close(self) -> None:
        """See ``Measurer``."""
        for worker in (*self._builders, *self._runners):
            worker.kill()
        self._builders, self._runners = [], []

    def _builds(
        self, batch: Sequence[tuple[Task, Decisions]], new: Mapping[str, Task]
    ) -> Iterator[tuple[tuple[str, int | None], Build]]:
        for workload, task in new.items():
            yield (workload, None), self._references[workload].build(space.default(task), "default", self._parts)
        for index, (task, decisions) in enumerate(batch):
            reference = self._references[task.workload]
            yield (task.workload, index), reference.build(decisions, f"{next(self._number)}", self._parts)

    def _defaults(self, new: Mapping[str, Task]) -> Iterator[tuple[_Reference, Trial]]:
        for reference in map(self._references.__getitem__, new):
            if isinstance(reference.default, Built):
                yield reference, Trial(reference.default, reference.buffers, reference.folder, None)

    def _trials(
        self, batch: Sequence[tuple[Task, Decisions]], built: Mapping[int, Built]
    ) -> Iterator[tuple[int, Trial]]:
        for index, library in built.items():
            workload = batch[index][0].workload
            reference = self._references[workload]
            if not reference.refused:
                best = self.best.get(workload, math.inf)
                yield index, Trial(library, reference.buffers, reference.folder, best)


class _Reference:
    """A task's folder: the task itself, the inputs that all its candidates get, and what its default schedule gives."""

    def __init__(self, parent: Path, task: Task) -> None:
        self.folder = parent / task.workload
        self.folder.mkdir()
        (self.folder / "task").write_bytes(pickle.dumps(task))
        self.buffers = inputs.buffers(task.func)
        self.default: Built | Failed | None = None
        self.status = Result("run", (), "it was not run")

    @property
    def refused(self) -> str:
        """Why nothing can be compared with the default schedule; "" where it can."""
        if isinstance(self.default, Failed):
            return f"the default schedule cannot be built: {self.default.message}"
        return "" if self.status.status == "ok" else f"the default schedule cannot be run: {self.status.message}"

    def build(self, decisions: Decisions, name: str, parts: tuple[Path, ...]) -> Build:
        """The request to build a candidate."""
        return Build(self.folder / "task", decisions, self.folder / f"{name}.so", parts)


def _result(answer: Result | Failed, error: Status) -> Result:
    """What a worker answered; ``error`` is the status for errors that it raised."""
    if isinstance(answer, Failed):
        return Result(error if answer.status == "run" else answer.status, (), answer.message)
    return answer


def _require(target: Target) -> None:
    """Check that this machine runs code for ``target``."""
    host = target.host
    if target.backend != "library" or host is None or host.machine != platform.machine():
        raise TuningError(f"this machine does not run code for {target.name}", hint=_BOARDS)
    if missing := set(host.flags) - targets.cpu_flags():
        raise TuningError(f"this CPU does not run code for {target.name}: no {min(missing)}", hint=_BOARDS)


_BOARDS = "tune on boards: --tracker HOST:PORT --key KEY"
