"""A compiled model: a file, what it tells of itself, and, on a machine that can, its results."""

from __future__ import annotations

import functools
import os
import shutil
import statistics
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Protocol

import numpy as np

from ..errors import ArtifactError
from ..files import replacing
from ..model import TensorSpec
from . import cuda, vm
from .library import Library

BESIDE = (".h", ".plan.txt", ".stream.txt")
"""What lies beside a shared library, by suffix: its header for C; who lives where in its workspace, and when; what its
simulated accelerator does, and what that costs."""


class Engine(Protocol):
    """A loaded file."""

    manifest: dict[str, Any]
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the outputs."""
        ...


@dataclass(frozen=True)
class Timing:
    """Microseconds of one inference."""

    median_us: float
    min_us: float
    mean_us: float
    repeats: int


class Artifact:
    """A compiled model. It is loaded when it first runs, so that one for another machine can be made and saved.

    Attributes
    ----------
    path     : the file or folder; one that was never saved is deleted with the object.
    """

    def __init__(
        self, path: Path, folder: TemporaryDirectory[str] | None = None, load: Callable[[], Engine] | None = None
    ) -> None:
        """Parameters
        ----------
        folder : to delete with the object, where the file is a temporary one.
        load   : makes the engine, where the file cannot be loaded here but can be run some other way.
        """
        self.path = path
        self._load = load
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._pool_of = 0  # a process: one that was forked off it has none of its threads
        if folder is not None:
            weakref.finalize(self, folder.cleanup)

    @property
    def engine(self) -> Engine:
        """The loaded file. Raises ArtifactError where it is damaged, of another version, or not for this machine."""
        if self._engine is None:
            with self._lock:  # of several threads that run it first, one loads it
                if self._engine is None:
                    self._engine = self._open()
        return self._engine

    def _open(self) -> Engine:
        if self._load is not None:
            return self._load()
        manifest = vm.read_manifest(self.path)
        if manifest is None:
            library = Library(self.path)
            subgraphs = library.manifest.get("accelerator", {}).get("subgraphs")
            return _simulated(library, self.path) if subgraphs else library
        return cuda.Executable(self.path) if manifest["backend"] == "cuda" else vm.Executable(self.path)

    @property
    def manifest(self) -> dict[str, Any]:
        """Where it comes from and how it was compiled, as plain data."""
        return self.engine.manifest

    @property
    def inputs(self) -> tuple[TensorSpec, ...]:
        """What ``run`` takes."""
        return self.engine.inputs

    @property
    def outputs(self) -> tuple[TensorSpec, ...]:
        """What ``run`` gives."""
        return self.engine.outputs

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Compute the outputs, by name; they are new arrays. Threads may call it at the same time.

        Raises InputError for a missing or unknown name, a wrong shape or a wrong dtype; ArtifactError on a
        machine that the model was not compiled for.
        """
        return self.engine.run(inputs)

    def bind(self, inputs: Mapping[str, np.ndarray]) -> Callable[[], dict[str, np.ndarray]]:
        """A function that computes the outputs of what ``inputs`` hold when it is called, without looking at them
        again. It may give the same arrays every time, and is not for several threads at once.

        Raises what ``run`` raises.
        """
        if isinstance(self.engine, Library):
            return self.engine.bind(inputs)
        return functools.partial(self.run, inputs)

    def run_async(self, inputs: Mapping[str, np.ndarray]) -> Future[dict[str, np.ndarray]]:
        """Start ``run`` in a thread of the artifact's own. There is one for every CPU of this process, but for those on
        which an inference has its other threads: these serve one inference at a time, the others go without. What
        ``run`` raises is raised by the future's ``result``. Inputs must stay as they are until then.
        """
        threads = self.engine.manifest["threads"]
        with self._lock:
            if self._pool is None or self._pool_of != os.getpid():
                workers = max(1, len(os.sched_getaffinity(0)) - (threads - 1))
                self._pool_of = os.getpid()
                self._pool = ThreadPoolExecutor(workers, thread_name_prefix="tvmopt")
            return self._pool.submit(self.run, inputs)

    def benchmark(self, inputs: Mapping[str, np.ndarray], repeats: int = 100, warmup: int = 10) -> Timing:
        """Time ``run``, to the end of what it starts. Raises what ``run`` raises."""
        wait = getattr(self.engine, "synchronize", None) or (lambda: None)
        for _ in range(warmup):
            self.run(inputs)
        wait()
        times = []
        for _ in range(repeats):
            begin = time.perf_counter()
            self.run(inputs)
            wait()
            times.append((time.perf_counter() - begin) * 1e6)
        return Timing(statistics.median(times), min(times), statistics.fmean(times), repeats)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the file, and beside it its header for C and the plan of its memory where there are such (``BESIDE``);
        or the folder for a microcontroller.

        A file that is in use under that name is replaced, not overwritten; in a folder, files of other names stay.

        Raises ArtifactError where it cannot be written.
        """
        try:
            if self.path.is_dir():
                shutil.copytree(self.path, path, dirs_exist_ok=True)
                return
            with replacing(Path(path)) as part:
                shutil.copyfile(self.path, part)
            for suffix in BESIDE:
                if self.path.with_suffix(suffix).exists():
                    shutil.copyfile(self.path.with_suffix(suffix), Path(path).with_suffix(suffix))
        except OSError as error:
            raise ArtifactError(f"cannot be written: {error.strerror}", file=path) from None


def _simulated(library: Library, path: Path) -> Engine:
    from .systolic.engine import Simulated  # needs more than numpy

    return Simulated(library, path)
