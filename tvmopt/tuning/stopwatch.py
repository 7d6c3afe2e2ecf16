"""Runs a candidate in this process: what its output is, and how long it takes."""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import quantiles

REPEAT_SECONDS = 1e-3
"""A repeat runs the kernel as often as takes about this long."""

FEWEST, MOST = 5, 30
"""Repeats."""

PRECISION = 0.01
"""Repeats end when the median is known to within this share of it."""

SLOWER = 1.5
"""A candidate that many times slower than the best is not worth more repeats."""

_ARGUMENTS = 24

_CALL = "    case {n}: ((int (*)({types}))kernel)({values}); break;\n"
_SOURCE = """\
#define _POSIX_C_SOURCE 199309L
#include <time.h>

typedef void *P;

static void call(P kernel, P *p, int count) {{
  switch (count) {{
{calls}  }}
}}

static double now(void) {{
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}}

/* Seconds that runs of a kernel take together. Before each, bytes of other memory are read, which is not timed. */
double tvmopt_run(P kernel, P *p, int count, long runs, const volatile char *other, long bytes) {{
  double sum = 0;
  if (bytes == 0) {{
    double start = now();
    for (long i = 0; i < runs; ++i) call(kernel, p, count);
    return now() - start;
  }}
  for (long i = 0; i < runs; ++i) {{
    for (long at = 0; at < bytes; at += 64) (void)other[at];
    double start = now();
    call(kernel, p, count);
    sum += now() - start;
  }}
  return sum;
}}
"""


def source() -> str:
    """The C code that calls kernels; compiled once, as a shared library."""
    calls = (
        _CALL.format(n=n, types=", ".join("P" * n), values=", ".join(f"p[{i}]" for i in range(n)))
        for n in range(1, _ARGUMENTS + 1)
    )
    return _SOURCE.format(calls="".join(calls))


class Stopwatch:
    """Calls one kernel on given memory."""

    def __init__(self, helper: Path, library: Path, symbol: str, flush_bytes: int) -> None:
        """helper : ``source``, compiled; flush_bytes : of other memory to read before each run that is timed."""
        self._kernel = ctypes.cast(ctypes.CDLL(str(library))[symbol], ctypes.c_void_p)
        self._run = ctypes.CDLL(str(helper)).tvmopt_run
        self._run.restype = ctypes.c_double
        self._other = ctypes.create_string_buffer(max(1, flush_bytes))
        self._flush_bytes = flush_bytes

    def __call__(self, addresses: Sequence[int], runs: int = 1) -> float:
        """Run the kernel ``runs`` times on buffers at ``addresses``; seconds."""
        if len(addresses) > _ARGUMENTS:
            raise ValueError(f"{len(addresses)} buffers are more than {_ARGUMENTS}")
        pointers = (ctypes.c_void_p * len(addresses))(*addresses)
        arguments = self._kernel, pointers, len(addresses), ctypes.c_long(runs), self._other
        return float(self._run(*arguments, ctypes.c_long(self._flush_bytes)))


def repeat(run: Callable[[int], float], best: float) -> tuple[tuple[float, ...], bool]:
    """Seconds of one run, once for every repeat, and whether it was given up because it is slower than ``best``.

    run : runs the kernel that often and gives the seconds.
    """
    first = min(run(1), run(1))
    runs = max(1, min(1_000_000, math.ceil(REPEAT_SECONDS / max(first, 1e-9))))
    times: list[float] = []
    while len(times) < MOST and not (len(times) >= FEWEST and _known(times)):
        times.append(run(runs) / runs)
        if len(times) == 2 and min(times) > SLOWER * best:
            return tuple(times), True
    return tuple(times), False


def _known(times: Sequence[float]) -> bool:
    """Whether the median is known well enough: by the notches of McGill, Tukey and Larsen (The American Statistician
    32:1, 1978), its 95 % interval is 1.57 interquartile ranges / sqrt(n) to both sides."""
    low, median, high = quantiles(times, n=4)
    return 1.57 * (high - low) / math.sqrt(len(times)) <= PRECISION * median
