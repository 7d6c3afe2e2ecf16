"""The database of trials: nothing lost, nothing doubled, every failure one clear error."""

from __future__ import annotations

import math
import multiprocessing
import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmopt.errors import TuningError
from tvmopt.tuning import exchange
from tvmopt.tuning.entries import Entry, Trial
from tvmopt.tuning.records import Records

ENTRY = Entry("w", "f", "x86_vnni", "1", "0.27", "conv", "x86/generic", (("pixels", 4),), (1.0, 2.5))


def trial(pixels: int, *seconds: float, status: str = "ok", finished: float = 1.0) -> Trial:
    return Trial((("pixels", pixels),), status, seconds, "" if status == "ok" else "why", finished)


def entry(workload: str) -> Entry:
    return Entry(workload, "f", "x86_vnni", "1", "0.27", "conv", "x86/generic", (("pixels", 4),), (1.0,))


def everything(records: Records) -> dict[Entry, list[Trial]]:
    return {one: records.trials(one.key) for one in records.entries()}


def test_kept_and_read_again(tmp_path: Path) -> None:
    trials = [trial(1, 3.0, 1.0, 2.0), trial(2, status="build", finished=2.0), trial(3, 0.5, status="slow", finished=3)]
    with Records(tmp_path / "r.db") as records:
        records.add(ENTRY, *trials)
    with Records(tmp_path / "r.db", write=False) as records:
        assert everything(records) == {ENTRY: trials}
        assert records.best(ENTRY.key) == trials[0]
    assert [one.latency for one in trials] == [1.0, math.inf, math.inf]


def test_latency_is_the_lower_quartile() -> None:
    assert trial(1, 9.0, 2.0, 3.0, 1.0, 9.0, 9.0, 9.0, 9.0).latency == 3.0


def test_another_version_of_anything_is_another_task(tmp_path: Path) -> None:
    with Records(tmp_path / "r.db") as records:
        records.add(ENTRY, trial(1, 1.0))
        for position in range(5):
            key = [*ENTRY.key]
            key[position] += "'"
            assert records.best(type(ENTRY.key)(*key)) is None


def test_measured_again(tmp_path: Path) -> None:
    with Records(tmp_path / "r.db") as records:
        records.add(ENTRY, trial(1, 1.0, finished=1))
        assert records.add(ENTRY, trial(1, 3.0, finished=2)) == [trial(1, 1.0, 3.0, finished=2)]
        records.add(ENTRY, trial(1, status="slow", finished=3))
        assert records.best(ENTRY.key).latency == 1.0
        records.add(ENTRY, trial(1, status="wrong", finished=4))
        records.add(ENTRY, trial(1, 1.0, finished=5))
        assert records.best(ENTRY.key) is None


TRIALS = st.lists(
    st.builds(
        trial,
        st.integers(1, 5),
        st.floats(1e-6, 1),
        status=st.sampled_from(["ok", "crash"]),
        finished=st.integers(1, 50).map(float),
    )
)


@given(TRIALS, TRIALS)
def test_merging_twice_is_merging_once(left: list[Trial], right: list[Trial]) -> None:
    a, b = Records.in_memory(Path("a")), Records.in_memory(Path("b"))
    a.add(ENTRY, *left)
    b.add(ENTRY, *right)
    assert a.merge(b) == len({one.decisions for one in right})
    once = everything(a)
    a.merge(b)
    assert everything(a) == once
    assert {one.decisions for one in once[ENTRY]} == {one.decisions for one in (*left, *right)}


def test_to_text_and_back(tmp_path: Path) -> None:
    with Records(tmp_path / "r.db") as records:
        for workload in "ba":
            records.add(
                entry(workload), trial(1, 0.1), trial(2, 0.3, finished=2.0), trial(3, status="wrong", finished=3.0)
            )
        assert exchange.write(records, tmp_path / "all.jsonl") == 6
        assert exchange.write(records, tmp_path / "best.jsonl", keep=1) == 2
        with exchange.open(tmp_path / "all.jsonl") as back:
            assert everything(back) == everything(records)
        with exchange.open(tmp_path / "best.jsonl") as back:
            assert everything(back) == {entry(workload): [trial(1, 0.1)] for workload in "ab"}


def test_prune(tmp_path: Path) -> None:
    with Records(tmp_path / "r.db") as records:
        records.add(entry("old"), trial(1, 1.0))
        records.add(entry("new"), *(trial(pixels, float(pixels)) for pixels in range(1, 7)))
        assert records.prune(2, stale=lambda key: key.workload == "old") == 4
        assert everything(records) == {entry("new"): [trial(pixels, float(pixels)) for pixels in (1, 2, 4)]}


def _write(path: Path, first: int) -> None:
    with Records(path) as records:
        for pixels in range(first, first + 40):
            records.add(ENTRY, trial(pixels, 1.0))


def test_several_processes_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=_write, args=(path, 40 * number)) for number in range(3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    with Records(path, write=False) as records:
        assert len(records.trials(ENTRY.key)) == 120


def test_newer_version(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    Records(path).close()
    with sqlite3.connect(path) as db:
        db.execute("PRAGMA user_version = 999")
    with pytest.raises(TuningError, match=r"r\.db: it is of version 999"):
        Records(path)


@pytest.mark.parametrize("content", [b"no database at all, only some text" * 50, b"SQLite format 3\0" + b"\1" * 5000])
def test_not_a_database(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "r.db"
    path.write_bytes(content)
    for write in (True, False):
        with pytest.raises(TuningError, match=r"r\.db: it is "):
            Records(path, write=write)
    assert path.read_bytes() == content


def test_someone_elses_database(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    with sqlite3.connect(path) as db:
        db.execute("CREATE TABLE theirs (x)")
    with pytest.raises(TuningError, match="it is no database of records"):
        Records(path)


def test_missing(tmp_path: Path) -> None:
    with pytest.raises(TuningError, match="there is no such database"):
        Records(tmp_path / "r.db", write=False)
    with pytest.raises(TuningError, match="it cannot be opened"):
        Records(tmp_path / "no folder" / "r.db")


def test_disk_full(tmp_path: Path) -> None:
    with Records(tmp_path / "r.db") as records:
        records.add(ENTRY, trial(1, 1.0))
        records._db.execute("PRAGMA max_page_count = 1")  # SQLite's own way to have a disk that is full
        with pytest.raises(TuningError, match=r"r\.db: the disk is full"):
            records.add(ENTRY, *(trial(pixels, *[1.0] * 100) for pixels in range(2, 5000)))
    with Records(tmp_path / "r.db") as records:
        assert records.trials(ENTRY.key)[0] == trial(1, 1.0)
        records.add(ENTRY, trial(5000, 1.0))


def test_read_only(tmp_path: Path) -> None:
    path = tmp_path / "r.db"
    with Records(path) as records:
        records.add(ENTRY, trial(1, 1.0))
    with Records(path) as records:
        records._db.execute("PRAGMA query_only = ON")
        with pytest.raises(TuningError, match=r"r\.db: it cannot be written"):
            records.add(ENTRY, trial(2, 1.0))
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        with Records(path, write=False) as records:
            assert records.best(ENTRY.key) == trial(1, 1.0)
        if os.geteuid():  # root may write anything
            with pytest.raises(TuningError, match="it cannot be"):
                Records(path).add(ENTRY, trial(2, 1.0))
    finally:
        path.parent.chmod(0o700)


@pytest.mark.parametrize("line", ["{", "[]", '{"workload": 1}', "\xff"])
def test_bad_line(tmp_path: Path, line: str) -> None:
    path = tmp_path / "r.jsonl"
    path.write_bytes(b"\n" + line.encode("latin-1") + b"\n")
    with pytest.raises(TuningError, match=r"r\.jsonl: line 2 is no record"):
        exchange.open(path)
