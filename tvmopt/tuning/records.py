"""The database of trials: every candidate that was measured, by what its time depends on. One SQLite file.

Several processes may write at once (write-ahead log), and a process that is killed loses nothing it had added: every
call of ``add`` is one transaction.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec

from ..errors import TuningError
from .entries import Entry, Key, Trial
from .task import Decisions, Status

APPLICATION = 0x74766D6F
"""``PRAGMA application_id``: "tvmo"."""

SCHEMA = 1
"""``PRAGMA user_version``."""

BUSY_SECONDS = 60
"""How long to wait for another process that writes."""

_TABLES = """
CREATE TABLE tasks (
    id INTEGER PRIMARY KEY,
    workload TEXT NOT NULL, fingerprint TEXT NOT NULL,
    rule TEXT NOT NULL, rule_version TEXT NOT NULL, tvm TEXT NOT NULL,
    name TEXT NOT NULL, target TEXT NOT NULL, start TEXT NOT NULL, facts TEXT NOT NULL,
    UNIQUE (workload, fingerprint, rule, rule_version, tvm)
);
CREATE TABLE trials (
    id INTEGER PRIMARY KEY,
    task INTEGER NOT NULL REFERENCES tasks ON DELETE CASCADE,
    decisions TEXT NOT NULL, status TEXT NOT NULL, seconds TEXT NOT NULL, message TEXT NOT NULL, finished REAL NOT NULL,
    UNIQUE (task, decisions)
);
"""


class Records:
    """An open database; close it, or use it as a context.

    Every method raises TuningError, naming the file, where the disk is full, the file is read-only, damaged, no
    database of records, of a newer version, or locked by another process for more than a minute.
    """

    def __init__(self, path: Path, *, write: bool = True) -> None:
        """Open ``path``; where ``write``, create it if it is not there."""
        self.path = path
        if not write and not path.is_file():
            raise TuningError("there is no such database of records", file=path)
        with self._errors():
            self._db = _connect(path, write)
            self._check(write)

    @staticmethod
    def in_memory(path: Path) -> Records:
        """An empty database that is no file; errors name ``path``."""
        records = Records.__new__(Records)
        records.path = path
        records._db = sqlite3.connect(":memory:", isolation_level=None)
        records._check(write=True)
        return records

    def __enter__(self) -> Records:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._db.close()

    def add(self, entry: Entry, *trials: Trial) -> list[Trial]:
        """Record trials of a task, in one transaction; a candidate that is there already is joined with the new trial.

        Returns what is recorded of each now.
        """
        with self._transaction():
            row = (*entry.key, entry.name, entry.target, _encode(entry.start), _encode(entry.facts))
            self._db.execute(f"INSERT OR IGNORE INTO tasks ({_ENTRY}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", row)
            (task,) = self._db.execute(f"SELECT id FROM tasks WHERE {_KEY}", entry.key).fetchone()
            return [self._add(task, trial) for trial in trials]

    def _add(self, task: int, trial: Trial) -> Trial:
        decisions = _encode(trial.decisions)
        where = "WHERE task = ? AND decisions = ?"
        found = self._db.execute(f"SELECT {_TRIAL} FROM trials {where}", (task, decisions)).fetchone()
        if found is not None:
            trial = _trial(found).joined(trial)
        self._db.execute(
            f"INSERT INTO trials (task, {_TRIAL}) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET"
            " status = excluded.status, seconds = excluded.seconds, message = excluded.message,"
            " finished = excluded.finished",
            (task, decisions, trial.status, _encode(trial.seconds), trial.message, trial.finished),
        )
        return trial

    def entries(self) -> list[Entry]:
        """All tasks, in the order in which they were first recorded."""
        with self._errors():
            rows = self._db.execute(f"SELECT {_ENTRY} FROM tasks ORDER BY id")
            decoded = (
                (*texts, _decode(start, Decisions), _decode(facts, tuple[float, ...])) for *texts, start, facts in rows
            )
            return [Entry(*fields) for fields in decoded]

    def trials(self, key: Key) -> list[Trial]:
        """All trials of a task, in the order in which they were first recorded."""
        with self._errors():
            rows = self._db.execute(
                f"SELECT {_TRIAL} FROM trials JOIN tasks ON tasks.id = task WHERE {_KEY} ORDER BY trials.id",
                key,
            )
            return [_trial(row) for row in rows]

    def best(self, key: Key) -> Trial | None:
        """The fastest trial of a task that is right; None where there is none."""
        return min((trial for trial in self.trials(key) if trial.status == "ok"), key=_latency, default=None)

    def merge(self, other: Records) -> int:
        """Add all that ``other`` holds; returns how many trials it has. Merging again changes nothing."""
        count = 0
        for entry in other.entries():
            trials = other.trials(entry.key)
            self.add(entry, *trials)
            count += len(trials)
        return count

    def prune(self, keep: int, *, stale: Callable[[Key], bool]) -> int:
        """Delete the tasks that are ``stale``, and of the others all trials but the ``keep`` fastest and the default's.

        Returns how many trials were deleted. The file shrinks.
        """
        with self._transaction():
            (before,) = self._db.execute("SELECT count(*) FROM trials").fetchone()
            for entry in self.entries():
                if stale(entry.key):
                    self._db.execute(f"DELETE FROM tasks WHERE {_KEY}", entry.key)
                    continue
                (task,) = self._db.execute(f"SELECT id FROM tasks WHERE {_KEY}", entry.key).fetchone()
                trials = sorted(self.trials(entry.key), key=_latency)
                lost = [trial for trial in trials[keep:] if trial.decisions != entry.start]
                self._db.executemany(
                    "DELETE FROM trials WHERE task = ? AND decisions = ?",
                    [(task, _encode(trial.decisions)) for trial in lost],
                )
            (after,) = self._db.execute("SELECT count(*) FROM trials").fetchone()
        with self._errors():
            self._db.execute("VACUUM")
        return int(before - after)

    def _check(self, write: bool) -> None:
        """See that the file is ours, and make the tables in a new one."""
        if self._pragma("application_id") != APPLICATION:
            if self._db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0] or not write:
                raise TuningError("it is no database of records", file=self.path)
            with self._transaction():
                if self._pragma("application_id") != APPLICATION:  # or another process was faster
                    for statement in _TABLES.split(";"):
                        self._db.execute(statement)
                    self._db.execute(f"PRAGMA application_id = {APPLICATION}")
                    self._db.execute(f"PRAGMA user_version = {SCHEMA}")
        if (schema := self._pragma("user_version")) > SCHEMA:
            hint = "use the tvmopt that wrote it"
            raise TuningError(f"it is of version {schema}, this tvmopt knows up to {SCHEMA}", file=self.path, hint=hint)

    def _pragma(self, name: str) -> int:
        return int(self._db.execute(f"PRAGMA {name}").fetchone()[0])

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._errors():
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, msgspec.DecodeError) as error:
            reason, hint = next((say for text, say in _REASONS.items() if text in str(error)), (str(error), None))
            raise TuningError(reason, file=self.path, hint=hint) from None


_ENTRY = "workload, fingerprint, rule, rule_version, tvm, name, target, start, facts"
_KEY = " AND ".join(f"{name} = ?" for name in Key._fields)
_TRIAL = "decisions, status, seconds, message, finished"
_REASONS: dict[str, tuple[str, str | None]] = {
    "disk is full": ("the disk is full", "what was recorded before is kept; make room and go on"),
    "readonly": ("it cannot be written: it, or its folder, is read-only", None),
    "unable to open": ("it cannot be opened", "are the folder and the rights there?"),
    "not a database": ("it is no database of records", None),
    "malformed": ("it is damaged", None),
    "locked": ("another process keeps it locked", None),
}


def _connect(path: Path, write: bool) -> sqlite3.Connection:
    if write:
        db = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None)
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            db.execute(f"PRAGMA {pragma}")
        return db
    uri = path.resolve().as_uri() + "?mode=ro"
    db = sqlite3.connect(uri, timeout=BUSY_SECONDS, isolation_level=None, uri=True)
    try:
        db.execute("PRAGMA user_version")
    except sqlite3.OperationalError:
        # Reading beside a writer needs files beside the database. In a read-only folder nobody writes.
        db = sqlite3.connect(uri + "&immutable=1", isolation_level=None, uri=True)
    return db


def _latency(trial: Trial) -> float:
    return trial.latency


def _trial(row: tuple[str, Status, str, str, float]) -> Trial:
    decisions, status, seconds, message, finished = row
    return Trial(_decode(decisions, Decisions), status, _decode(seconds, tuple[float, ...]), message, finished)


def _encode(value: object) -> str:
    return msgspec.json.encode(value).decode()


def _decode(text: str, kind: Any) -> Any:
    return msgspec.json.decode(text, type=kind)
