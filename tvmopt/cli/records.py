"""tvmopt records: what tuning found, to look at, to join, to take elsewhere."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options, terminal

if TYPE_CHECKING:
    from ..tuning.entries import Entry, Trial
    from ..tuning.records import Records

database = click.argument("path", metavar="DB", type=options.file)


@dataclass(frozen=True)
class Task:
    """A recorded task, for people and as JSON. Times are None where nothing ran; ``decisions`` are the best ones."""

    workload: str
    name: str
    target: str
    fingerprint: str
    rule: str
    rule_version: str
    tvm: str
    trials: int
    failed: int
    default_us: float | None
    best_us: float | None
    decisions: dict[str, int] | None


@click.group("records")
def command() -> None:
    """Look at, join and export the records of tuning. DB is a database, or, to read, a file of JSON lines."""


@command.command("list")
@database
@options.as_json
def list_(path: Path, as_json: bool) -> None:
    """The tasks: how many trials, how much faster."""
    found = _tasks(path)
    if as_json:
        terminal.print_json({"tasks": found})
        return
    rows = [
        [task.workload, task.name, task.target, task.rule, str(task.trials), str(task.failed), *_times(task)]
        for task in found
    ]
    columns = ["workload", "task", "target", "rule", "trials", "failed", "default us", "best us", "gain"]
    terminal.print_table(str(path), columns, rows)


@command.command("best")
@database
@options.as_json
def best(path: Path, as_json: bool) -> None:
    """The decisions that compiling would take."""
    found = [task for task in _tasks(path) if task.decisions is not None]
    if as_json:
        terminal.print_json({"tasks": found})
        return
    rows = [[task.workload, task.name, _text(task.decisions or {}), *_times(task)] for task in found]
    terminal.print_table(str(path), ["workload", "task", "decisions", "default us", "best us", "gain"], rows)


@command.command("show")
@database
@click.argument("workload")
@options.as_json
def show(path: Path, workload: str, as_json: bool) -> None:
    """All trials of a task, the fastest first. The first digits of WORKLOAD will do."""
    from ..errors import InputError

    with _open(path) as records:
        entries = [entry for entry in records.entries() if entry.workload.startswith(workload)]
        if not entries:
            raise InputError(f"no task's workload starts with '{workload}'", file=path)
        found = [(entry, trial) for entry in entries for trial in records.trials(entry.key)]
    found.sort(key=lambda pair: pair[1].latency)
    if as_json:
        terminal.print_json({"trials": [_trial(entry, trial) for entry, trial in found]})
        return
    rows = [
        [
            entry.target,
            _text(dict(trial.decisions)),
            trial.status,
            f"{trial.latency * 1e6:.2f}" if trial.status == "ok" else "-",
            trial.message,
        ]
        for entry, trial in found
    ]
    terminal.print_table(entries[0].name, ["target", "decisions", "status", "us", "reason"], rows)


@command.command("merge")
@database
@click.argument("others", metavar="OTHER...", nargs=-1, required=True, type=options.file)
def merge(path: Path, others: tuple[Path, ...]) -> None:
    """Add what other databases or files of JSON lines hold. What is there already stays once."""
    from ..tuning.records import Records

    with Records(path) as records:
        for other in others:
            with _open(other) as added:
                click.echo(f"{path}: {records.merge(added)} trials of {other}")


@command.command("export")
@database
@click.option("-o", "--output", required=True, type=options.file, help="The file of JSON lines to write.")
@click.option("--keep", type=click.IntRange(min=1), help="Of every task, only so many of the fastest trials.")
def export(path: Path, output: Path, keep: int | None) -> None:
    """Write records as JSON lines, to take them elsewhere: compile and merge read them."""
    from ..errors import InputError
    from ..tuning import exchange

    if output.suffix != exchange.SUFFIX:
        raise InputError(f"files of JSON lines end in {exchange.SUFFIX}", file=output)
    with _open(path) as records:
        click.echo(f"{output}: {exchange.write(records, output, keep)} trials")


@command.command("prune")
@database
@click.option("--keep", type=click.IntRange(min=1), default=64, show_default=True, help="Fastest trials of every task.")
def prune(path: Path, keep: int) -> None:
    """Delete slow trials, and tasks of other versions of TVM or of schedule rules, which are never looked up."""
    from ..tuning.lookup import stale
    from ..tuning.records import Records

    with _open(path):  # which must be there
        pass
    with Records(path) as records:
        click.echo(f"{path}: {records.prune(keep, stale=stale)} trials deleted")


def _open(path: Path) -> Records:
    from ..tuning import exchange

    return exchange.open(path)


def _tasks(path: Path) -> list[Task]:
    with _open(path) as records:
        return [_task(entry, records.trials(entry.key)) for entry in records.entries()]


def _task(entry: Entry, trials: list[Trial]) -> Task:
    right = {trial.decisions: trial for trial in trials if trial.status == "ok"}
    start, fastest = right.get(entry.start), min(right.values(), key=lambda trial: trial.latency, default=None)
    return Task(
        *(entry.workload, entry.name, entry.target, entry.fingerprint, entry.rule, entry.rule_version, entry.tvm),
        trials=len(trials),
        failed=sum(trial.status not in ("ok", "slow") for trial in trials),
        default_us=None if start is None else start.latency * 1e6,
        best_us=None if fastest is None else fastest.latency * 1e6,
        decisions=None if fastest is None else dict(fastest.decisions),
    )


def _trial(entry: Entry, trial: Trial) -> dict[str, Any]:
    """A trial as JSON."""
    return {
        "workload": entry.workload,
        "fingerprint": entry.fingerprint,
        "decisions": dict(trial.decisions),
        "status": trial.status,
        "us": [seconds * 1e6 for seconds in trial.seconds],
        "reason": trial.message,
    }


def _times(task: Task) -> list[str]:
    """Default, best and gain."""
    if task.default_us is None or task.best_us is None:
        return ["-", "-", "-"]
    return [f"{task.default_us:.2f}", f"{task.best_us:.2f}", f"{task.default_us / task.best_us:.2f}x"]


def _text(decisions: dict[str, int]) -> str:
    return " ".join(f"{name}={value}" for name, value in decisions.items())
