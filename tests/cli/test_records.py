"""tvmopt records: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tvmopt.cli import main
from tvmopt.tuning.entries import Entry, Trial
from tvmopt.tuning.records import Records

CONV = Entry("ab12", "x86_64", "x86_vnni", "1", "0.27", "conv 3x3", "x86/generic", (("rows", 2),), (1.0,))
POOL = Entry("cd34", "x86_64", "generic", "1", "0.27", "pool [2x2]", "x86/generic", (("rows", 1),), (1.0,))


def trial(rows: int, *seconds: float, status: str = "ok", message: str = "") -> Trial:
    return Trial((("rows", rows),), status, seconds, message, 1.0)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    with Records(tmp_path / "r.db") as records:
        records.add(CONV, trial(2, 4e-6), trial(3, 1e-6, 3e-6), trial(4, status="build", message="no such tile"))
        records.add(POOL, trial(1, status="crash", message="SIGSEGV"))
    return tmp_path / "r.db"


def invoke(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["records", *map(str, arguments)], catch_exceptions=False)


def run(*arguments: str | Path) -> str:
    result = invoke(*arguments)
    assert (result.exit_code, result.stderr) == (0, "")
    return result.stdout


def run_json(*arguments: str | Path) -> Any:
    return json.loads(run(*arguments, "--json"))


def test_list(database: Path) -> None:
    conv, pool = run_json("list", database)["tasks"]
    assert conv == {
        "workload": "ab12",
        "name": "conv 3x3",
        "target": "x86/generic",
        "fingerprint": "x86_64",
        "rule": "x86_vnni",
        "rule_version": "1",
        "tvm": "0.27",
        "trials": 3,
        "failed": 1,
        "default_us": pytest.approx(4),
        "best_us": pytest.approx(1),
        "decisions": {"rows": 3},
    }
    assert (pool["best_us"], pool["failed"]) == (None, 1)
    printed = run("list", database)
    assert "4.00x" in printed
    assert "pool [2x2]" in printed


def test_best(database: Path) -> None:
    assert [task["workload"] for task in run_json("best", database)["tasks"]] == ["ab12"]
    assert "rows=3" in run("best", database)


def test_show(database: Path) -> None:
    trials = run_json("show", database, "ab")["trials"]
    assert [one["decisions"]["rows"] for one in trials] == [3, 2, 4]
    assert (trials[2]["status"], trials[2]["us"], trials[2]["reason"]) == ("build", [], "no such tile")
    assert "no such tile" in run("show", database, "ab12")
    result = invoke("show", database, "ef")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "no task's workload starts with 'ef'" in result.stderr


def test_export_and_merge(database: Path, tmp_path: Path) -> None:
    assert "4 trials" in run("export", database, "-o", tmp_path / "all.jsonl")
    assert "1 trials" in run("export", database, "-o", tmp_path / "best.jsonl", "--keep", "1")
    assert len(run_json("list", tmp_path / "all.jsonl")["tasks"]) == 2
    run("merge", tmp_path / "new.db", tmp_path / "all.jsonl", database)
    assert run("list", tmp_path / "new.db").splitlines()[1:] == run("list", tmp_path / "all.jsonl").splitlines()[1:]
    result = invoke("export", database, "-o", tmp_path / "all.txt")
    assert result.exit_code == 2
    assert "end in .jsonl" in result.stderr


def test_prune(database: Path) -> None:
    assert "4 trials deleted" in run("prune", database)  # all of another version of TVM


@pytest.mark.parametrize("name", ["list", "best", "prune"])
def test_no_database(tmp_path: Path, name: str) -> None:
    result = invoke(name, tmp_path / "none.db")
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert "there is no such database of records" in result.stderr
    assert not (tmp_path / "none.db").exists()
