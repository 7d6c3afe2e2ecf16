"""Ctrl-C is noted and raised, and then everything is as before."""

import signal
import threading

import pytest

from tvmopt.tuning import interrupt


def test_noted_and_raised():
    noted = []
    with pytest.raises(KeyboardInterrupt), interrupt.noted(lambda: noted.append(1)):
        signal.raise_signal(signal.SIGINT)
    assert noted == [1]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_handlers_of_others_stay():
    seen = []
    before = signal.signal(signal.SIGINT, lambda *_: seen.append(2))
    try:
        with interrupt.noted(lambda: seen.append(1)):
            signal.raise_signal(signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [2]


def test_other_threads():
    seen = []

    def run():
        with interrupt.noted(lambda: None):
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    assert seen == [signal.default_int_handler]
