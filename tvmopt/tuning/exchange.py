"""Records as text: JSON lines, one task each with its trials. A file for other machines, for git, and for shipping.

Two such files after each other are one, and ``Records.merge`` takes them as it takes a database.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from ..errors import TuningError
from .entries import Entry, Trial
from .records import Records

SUFFIX = ".jsonl"


class Line(Entry, frozen=True):
    """A task and its trials."""

    trials: tuple[Trial, ...]


def open(path: Path) -> Records:
    """The records in ``path``, to read: a database, or a file of JSON lines. Raises TuningError as ``Records``."""
    if path.suffix != SUFFIX:
        return Records(path, write=False)
    records = Records.in_memory(path)
    for line in read(path):
        records.add(line, *line.trials)
    return records


def read(path: Path, wanted: Callable[[bytes], bool] = bool) -> Iterator[Line]:
    """The lines of a file that are ``wanted``, asked before they are parsed.

    Raises TuningError, naming file and line, for one that is no record.
    """
    try:
        text = path.read_bytes()
    except OSError as error:
        raise TuningError(f"cannot be read: {error.strerror}", file=path) from None
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip() and wanted(line):
            try:
                yield msgspec.json.decode(line, type=Line)
            except (msgspec.DecodeError, UnicodeDecodeError) as error:
                raise TuningError(f"line {number} is no record: {error}", file=path) from None


def write(records: Records, path: Path, keep: int | None = None) -> int:
    """Write all records, or of every task the ``keep`` fastest right trials; returns how many trials.

    Raises TuningError where the file cannot be written.
    """
    lines, count = [], 0
    for entry in records.entries():
        trials = records.trials(entry.key)
        if keep is not None:
            right = (trial for trial in trials if trial.status == "ok")
            trials = sorted(right, key=lambda trial: trial.latency)[:keep]
        lines.append(msgspec.json.encode(Line(**msgspec.structs.asdict(entry), trials=tuple(trials))))
        count += len(trials)
    try:
        path.write_bytes(b"\n".join([*sorted(lines), b""]))
    except OSError as error:
        raise TuningError(f"cannot be written: {error.strerror}", file=path) from None
    return count
