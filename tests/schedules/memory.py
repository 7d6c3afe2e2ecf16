"""Memory of a GPU, and the threads of a grid that read and write it.

A buffer is an array of the whole grid ("global", or "given", which no kernel may write), of every block ("shared") or
of every thread ("local"). It is an error to read what another thread wrote with no barrier between, or nothing wrote;
to write what another thread read or wrote, or where a copy is under way; and to go beyond a buffer. Threads of a warp
are not taken to run in step.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

NOBODY, SEVERAL = -1, -2


@dataclass(eq=False)
class Memory:
    """A buffer: its elements [owners, size], and who wrote and read each since the last barrier.

    coming : whether a copy to an element is under way.
    """

    name: str
    scope: str
    data: np.ndarray
    known: np.ndarray = field(init=False)
    coming: np.ndarray = field(init=False)
    writer: np.ndarray = field(init=False)
    reader: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.known = np.full(self.data.shape, self.scope == "given")
        self.coming = np.zeros(self.data.shape, bool)
        self.forget()

    def forget(self) -> None:
        """A barrier: everything written so far may be read by all."""
        self.writer = np.full(self.data.shape, NOBODY, np.int32)
        self.reader = np.full(self.data.shape, NOBODY, np.int32)


@dataclass(frozen=True, eq=False)
class Pointer:
    """The address of an element, for every thread."""

    memory: Memory
    index: np.ndarray


class Grid:
    """One launch of a kernel.

    Attributes
    ----------
    count, threads : threads of the grid, and of a block.
    active    : which of them run what is being run.
    conflicts : accesses to shared memory that another one to the same bank delays.
    shared    : bytes of shared memory of a block.
    """

    def __init__(self, blocks: int, threads: int) -> None:
        self.count, self.threads = blocks * threads, threads
        self.thread = np.arange(self.count)
        self.block = self.thread // threads
        self.active = np.ones(self.count, bool)
        self.memory: dict[Any, Memory] = {}
        self.pending: list[list[Callable[[], None]]] = [[]]
        self.conflicts = self.shared = 0

    def owner(self, memory: Memory) -> np.ndarray | int:
        return {"local": self.thread, "shared": self.block}.get(memory.scope, 0)

    def load(self, at: Pointer) -> np.ndarray:
        """Elements that the active threads read; 0 for the others."""
        memory, index, owner = self._checked(at)
        data = np.zeros(self.count, memory.data.dtype)
        assert memory.known[owner, index].all(), f"{memory.name}: read before it is written"
        data[self.active] = memory.data[owner, index]
        if memory.scope in ("shared", "global"):
            me = self.thread[self.active]
            writer = memory.writer[owner, index]
            assert ((writer == NOBODY) | (writer == me)).all(), f"{memory.name}: read without a barrier after the write"
            first = memory.reader[owner, index]
            memory.reader[owner, index] = np.where((first == NOBODY) | (first == me), me, SEVERAL)
            # of several threads that read an element at once, one was noted: note that there are several
            shared = memory.reader[owner, index] != me
            memory.reader[owner[shared] if isinstance(owner, np.ndarray) else owner, index[shared]] = SEVERAL
        return data

    def store(self, at: Pointer, value: Any) -> None:
        """Write the active threads' values."""
        memory, index, owner = self._checked(at)
        assert memory.scope != "given", f"{memory.name}: a kernel writes it"
        assert not memory.coming[owner, index].any(), f"{memory.name}: written while a copy is under way"
        value = np.broadcast_to(np.asarray(value), self.count)[self.active]
        if memory.scope in ("shared", "global"):
            me = self.thread[self.active]
            for noted, what in ((memory.writer, "write"), (memory.reader, "read")):
                by = noted[owner, index]
                assert ((by == NOBODY) | (by == me)).all(), f"{memory.name}: written without a barrier after the {what}"
            memory.writer[owner, index] = me
            assert (memory.writer[owner, index] == me).all(), f"{memory.name}: two threads write one element"
        memory.data[owner, index] = value
        memory.known[owner, index] = True

    def copy_async(self, to: Pointer, value: np.ndarray) -> None:
        """Write the active threads' values, some time before ``wait`` for this group of copies ends."""
        self.store(to, value)
        memory, index, owner = self._checked(to)
        memory.known[owner, index] = False
        memory.coming[owner, index] = True
        me, value = self.thread[self.active], value[self.active]

        def arrive() -> None:
            memory.data[owner, index] = value
            memory.known[owner, index] = True
            memory.coming[owner, index] = False
            memory.writer[owner, index] = me

        self.pending[-1].append(arrive)

    def aligned(self, at: Pointer, size: int, what: str) -> None:
        """Check that the active threads' addresses are multiples of so many bytes."""
        place = np.broadcast_to(at.index, self.count)[self.active] * at.memory.data.dtype.itemsize
        assert (place % size == 0).all(), f"{at.memory.name}: {what} at an odd address"

    def warps(self, what: str) -> None:
        """Check that all lanes of all warps are there."""
        assert self.active.all(), f"{what} that not all lanes reach"
        assert self.threads % 32 == 0, f"{what} in a warp of fewer lanes"

    def finish(self) -> None:
        """The end of all threads."""
        assert not any(self.pending), "copies that nobody waited for"

    def chunks(self, at: Pointer, lanes: np.ndarray) -> None:
        """Count bank conflicts of 16 bytes a lane in shared memory: eight lanes at once have eight groups of banks."""
        if at.memory.scope != "shared":
            return
        chunk = np.broadcast_to(at.index, self.count).reshape(-1, 8) * at.memory.data.dtype.itemsize // 16
        chunk = np.where(np.broadcast_to(lanes, self.count).reshape(-1, 8), chunk, -1)
        first = ~np.tril(chunk[:, :, None] == chunk[:, None, :], -1).any(2) & (chunk >= 0)
        asked = ((chunk % 8)[:, :, None] == np.arange(8)) & first[:, :, None]
        self.conflicts += int(np.maximum(asked.sum(1).max(1) - 1, 0).sum())

    def commit(self) -> None:
        assert self.active.all()
        self.pending.append([])

    def wait(self, groups: int) -> None:
        """Until no more than ``groups`` groups of copies are under way."""
        assert self.active.all()
        while len(self.pending) - 1 > groups:
            for arrive in self.pending.pop(0):
                arrive()

    def barrier(self) -> None:
        assert self.active.all(), "a barrier that not all threads reach"
        for memory in self.memory.values():
            if memory.scope == "shared":
                memory.forget()

    def _checked(self, at: Pointer) -> tuple[Memory, np.ndarray, Any]:
        memory = at.memory
        index = np.broadcast_to(at.index, self.count)[self.active]
        size = memory.data.shape[1]
        assert ((index >= 0) & (index < size)).all(), f"{memory.name}: {index.min()}..{index.max()} of {size}"
        owner = self.owner(memory)
        return memory, index, owner[self.active] if isinstance(owner, np.ndarray) else owner


class Masked:
    """Fewer threads are active meanwhile; says whether any is."""

    def __init__(self, grid: Grid, where: np.ndarray) -> None:
        self.grid, self.where, self.before = grid, where, grid.active

    def __enter__(self) -> bool:
        self.grid.active = self.before & self.where
        return bool(self.grid.active.any())

    def __exit__(self, *_: object) -> None:
        self.grid.active = self.before
