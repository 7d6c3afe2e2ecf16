"""Requests spread over workers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from multiprocessing.connection import wait
from typing import Any, TypeVar

from ..errors import TuningError
from .worker import Lost, Worker

Key = TypeVar("Key")


def spread(
    workers: list[Worker],
    requests: Iterable[tuple[Key, Any]],
    again: Callable[[Key, Any], bool] = lambda key, answer: False,
) -> Iterator[tuple[Key, Any]]:
    """Answers to (key, request), with the key, as they come.

    again : whether an answer is none, and the request is to be made again.

    A worker whose program ends is taken from ``workers``, and its request goes to another one; likewise those that
    are busy when nobody wants the answers any more, which are ended.
    Raises TuningError when none is left.
    """
    waiting, more = deque[tuple[Key, Any]](), iter(requests)
    busy: dict[Worker, tuple[Key, Any]] = {}

    def lose(worker: Worker, reason: Lost) -> None:
        workers.remove(worker)
        worker.close()
        if not workers:
            raise TuningError(f"no worker process is left: {reason}") from None

    try:
        while True:
            for worker in [worker for worker in workers if worker not in busy]:
                item = waiting.popleft() if waiting else next(more, None)
                if item is None:
                    break
                try:
                    worker.send(item[1])
                    busy[worker] = item
                except Lost as reason:
                    waiting.appendleft(item)
                    lose(worker, reason)
            if not busy and not waiting:
                return
            ready = wait([worker.connection for worker in busy])
            for worker in [worker for worker in busy if worker.connection in ready]:
                key, request = busy.pop(worker)
                try:
                    answer = worker.receive()
                except Lost as reason:
                    waiting.append((key, request))
                    lose(worker, reason)
                else:
                    if again(key, answer):
                        waiting.append((key, request))
                        workers.append(workers.pop(workers.index(worker)))  # others first
                    else:
                        yield key, answer
    finally:
        for worker in busy:
            workers.remove(worker)
            worker.kill()
