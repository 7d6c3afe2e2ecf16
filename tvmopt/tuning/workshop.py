"""Where candidates are built: worker processes, and a folder for each task."""

from __future__ import annotations

import itertools
import os
import pickle
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ..target import Target
from . import builder, inputs, space, trial
from .builder import Build, Built
from .pool import spread
from .task import Decisions, Result, Status, Task
from .worker import Failed, Limits, Worker


class Reference:
    """What the candidates of a task are compared with: inputs, and the default schedule.

    Attributes
    ----------
    folder  : of the task's files: "task" (pickled), "inputs" (see ``templates/trial.c``), libraries.
    buffers : of its kernel.
    default : the default schedule's library, or why there is none.
    """

    def __init__(self, parent: Path, task: Task) -> None:
        self.folder = parent / task.workload
        self.folder.mkdir()
        (self.folder / "task").write_bytes(pickle.dumps(task))
        self.buffers = inputs.buffers(task.func, task.cold)
        trial.write_inputs(self.buffers, self.folder / "inputs")
        self.default: Built | Failed = Failed("run", "it was not built")


class Workshop:
    """Builds candidates of one target.

    Attributes
    ----------
    path       : a folder of its own, until it is closed.
    references : by workload, of every task it has built for.
    """

    def __init__(self, target: Target, threads: int, builders: int | None, limits: Limits) -> None:
        """builders : processes, one for each CPU by default; limits : what building a candidate may use.

        Raises DependencyError without a C compiler for the target.
        """
        self._folder = tempfile.TemporaryDirectory(prefix="tvmopt-tuning-")
        self.path = Path(self._folder.name)
        self.references: dict[str, Reference] = {}
        self._parts = builder.parts(target, threads, self.path)
        self._linker, self._limits = builder.linker(target, threads), limits
        self._wanted = builders or len(os.sched_getaffinity(0))
        self._workers: list[Worker] = []
        self._number = itertools.count()

    def build(self, batch: Sequence[tuple[Task, Decisions]]) -> Iterator[tuple[int, Built | Result]]:
        """Build candidates; yields each one's index in ``batch`` with its library, or why there is none.

        Default schedules of new tasks are built before. Raises TuningError where no worker is left.
        """
        while len(self._workers) < self._wanted:
            self._workers.append(Worker("tvmopt.tuning.builder:prepare", self._linker, self._limits))
        new = {task.workload: task for task, _ in batch if task.workload not in self.references}
        self.references |= {workload: Reference(self.path, task) for workload, task in new.items()}
        for workload, answer in spread(self._workers, self._defaults(new)):
            self.references[workload].default = answer
        for index, answer in spread(self._workers, self._candidates(batch)):
            yield index, result(answer, "build") if isinstance(answer, Failed) else answer

    def close(self) -> None:
        """End the workers; building again starts new ones."""
        for worker in self._workers:
            worker.kill()
        self._workers = []

    def _defaults(self, new: Mapping[str, Task]) -> Iterator[tuple[str, Build]]:
        for workload, task in new.items():
            yield workload, self._build(workload, space.default(task), "default.so")

    def _candidates(self, batch: Sequence[tuple[Task, Decisions]]) -> Iterator[tuple[int, Build]]:
        for index, (task, decisions) in enumerate(batch):
            yield index, self._build(task.workload, decisions, f"{next(self._number)}.so")

    def _build(self, workload: str, decisions: Decisions, name: str) -> Build:
        folder = self.references[workload].folder
        return Build(folder / "task", decisions, folder / name, self._parts)


def result(answer: Result | Failed, error: Status) -> Result:
    """What a worker answered; ``error`` is the status for errors that it raised."""
    if isinstance(answer, Failed):
        return Result(error if answer.status == "run" else answer.status, (), answer.message)
    return answer
