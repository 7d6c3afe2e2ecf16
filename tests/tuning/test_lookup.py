"""What compiling takes from records: the same bits, other code, named in the manifest."""

from __future__ import annotations

from pathlib import Path
from random import Random

import numpy as np
import onnx
import pytest

import tvmopt
from tests.report.models import residual
from tvmopt import target as targets
from tvmopt.errors import TuningError
from tvmopt.passes import pipeline
from tvmopt.runtime import Artifact
from tvmopt.tuning import exchange, lookup, space, workload
from tvmopt.tuning.campaign import entry
from tvmopt.tuning.entries import Entry, Key, Trial
from tvmopt.tuning.extract import extract
from tvmopt.tuning.records import Records
from tvmopt.tuning.task import Task

HOST = targets.get("host")


@pytest.fixture(autouse=True)
def nothing_shipped(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    if "shipped" not in request.node.name:
        monkeypatch.setattr(lookup, "SHIPPED", tmp_path)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("lookup") / "residual.onnx"
    onnx.save(residual(), path)
    return path


@pytest.fixture(scope="module")
def tasks(model: Path) -> list[Task]:
    found = extract([pipeline.run(tvmopt.load(model))], HOST)
    assert found
    return found


def other(task: Task) -> Trial:
    """A trial whose decisions are not the default ones."""
    rng = Random(0)
    decisions = next(one for one in iter(lambda: space.sample(task, rng), None) if one != space.default(task))
    return Trial(decisions, "ok", (1e-6,), "", 1.0)


def record(path: Path, tasks: list[Task]) -> Records:
    records = Records(path)
    for task in tasks:
        slow = Trial(space.default(task), "ok", (1e-3,), "", 1.0)
        records.add(entry(task), slow, other(task))
    return records


def run(artifact: Artifact) -> np.ndarray:
    x = np.random.default_rng(0).uniform(-3, 3, (1, 3, 6, 6)).astype(np.float32)
    return artifact.run({"x": x})["y"]


def test_same_bits_and_named_in_the_manifest(model: Path, tasks: list[Task], tmp_path: Path) -> None:
    record(tmp_path / "r.db", tasks).close()
    plain, tuned = tvmopt.compile(model), tvmopt.compile(model, records=tmp_path / "r.db")
    np.testing.assert_array_equal(run(tuned), run(plain))
    assert plain.manifest["tuned"] == []
    named = {one["workload"]: one for one in tuned.manifest["tuned"]}
    assert named.keys() == {task.workload for task in tasks}
    for task in tasks:
        assert named[task.workload] == {
            "workload": task.workload,
            "rule": task.rule,
            "decisions": dict(other(task).decisions),
            "us": pytest.approx(1.0),
            "records": str(tmp_path / "r.db"),
        }
    with Records(tmp_path / "r.db") as records:
        exchange.write(records, tmp_path / "r.jsonl", keep=1)
    again = tvmopt.compile(model, records=tmp_path / "r.jsonl")
    one, two = ([used["decisions"] for used in artifact.manifest["tuned"]] for artifact in (tuned, again))
    assert one == two


def test_only_records_of_this_target_and_these_versions(tasks: list[Task], tmp_path: Path) -> None:
    task = tasks[0]
    about = entry(task)
    with Records(tmp_path / "r.db") as records:
        for field in ("fingerprint", "rule_version", "tvm"):
            fields = {name: getattr(about, name) for name in about.__struct_fields__}
            records.add(Entry(**{**fields, field: "another"}), other(task))
        found = lookup.Lookup(HOST, records)
        assert found(task.rule, task.func) == ()
        records.add(about, other(task))
        assert found(task.rule, task.func) == other(task).decisions
        assert found("generic" if task.rule != "generic" else "x86_vnni", task.func) == ()
        assert list(found.used) == [task.workload]


def test_shipped_records_are_used_without_being_asked(
    model: Path, tasks: list[Task], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with record(tmp_path / "r.db", tasks[:1]) as records:
        exchange.write(records, tmp_path / "shipped.jsonl")
    monkeypatch.setattr(lookup, "SHIPPED", tmp_path)
    (used,) = tvmopt.compile(model).manifest["tuned"]
    assert (used["workload"], used["records"]) == (tasks[0].workload, "tvmopt")
    default = Trial(space.default(tasks[0]), "ok", (1e-9,), "", 2.0)
    with Records(tmp_path / "own.db") as records:
        records.add(entry(tasks[0]), default)
    (used,) = tvmopt.compile(model, records=tmp_path / "own.db").manifest["tuned"]
    assert used["decisions"] == dict(default.decisions)  # the user's own come first


def test_what_is_shipped_is_of_this_version_and_faster_than_the_default() -> None:
    paths = list(lookup.SHIPPED.glob(f"*{exchange.SUFFIX}"))
    assert paths
    for path in paths:
        fingerprint = workload.fingerprint(targets.get(path.stem.replace("-", "/", 1)))
        for line in exchange.read(path):
            assert not lookup.stale(line.key), line.name
            assert line.fingerprint == fingerprint
            default, best = sorted(line.trials, key=lambda trial: trial.decisions != line.start)
            assert default.decisions == line.start
            assert default.latency > 1.02 * best.latency, line.name


def test_shipped_records_of_the_benchmark_models(mlperf_tiny: dict[str, Path]) -> None:
    """That tests/test_models.py runs these models, exact, is what tests the records' bits."""
    used = tvmopt.compile(mlperf_tiny["vww"], "x86/cascadelake").manifest["tuned"]
    assert used
    assert {one["records"] for one in used} == {"tvmopt"}


def test_stale(tasks: list[Task]) -> None:
    key = Key.of(tasks[0])
    assert not lookup.stale(key)
    assert all(lookup.stale(key._replace(**{field: "no such"})) for field in ("rule", "rule_version", "tvm"))


def test_no_such_records(model: Path, tmp_path: Path) -> None:
    with pytest.raises(TuningError, match=r"none\.db: there is no such database"):
        tvmopt.compile(model, records=tmp_path / "none.db")
