"""Ctrl-C, which must not get lost."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def noted(note: Callable[[], None]) -> Iterator[None]:
    """Within, Ctrl-C calls ``note`` and raises KeyboardInterrupt as ever; what is raised while a library calls back
    into Python is lost sometimes.

    Nothing changes in other threads than the main one, or where somebody else takes care of the signal.
    """
    before = signal.getsignal(signal.SIGINT)
    if before is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return

    def handle(number: int, frame: FrameType | None) -> None:
        note()
        signal.default_int_handler(number, frame)

    signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
