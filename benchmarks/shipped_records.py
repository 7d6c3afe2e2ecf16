"""Records to ship: of what campaigns found, the candidates that are faster than the default schedule time and again.

The fastest recorded candidates of every task are measured anew with the rules as they are now, in turn with the default
schedule. One is kept if its output was the default's, bit for bit, every time, and if it was faster by a margin in
three quarters of the rounds: what was luck, or noise of the machine, is not.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import click

import tvmopt
from tvmopt import target as targets
from tvmopt.cli import options, terminal
from tvmopt.passes import pipeline
from tvmopt.tuning import campaign, exchange, space
from tvmopt.tuning.entries import Trial
from tvmopt.tuning.extract import extract
from tvmopt.tuning.local import LocalMeasurer
from tvmopt.tuning.lookup import SHIPPED
from tvmopt.tuning.records import Records
from tvmopt.tuning.task import Decisions, Measurer, Task

from . import tuning
from .command import Command, listed

CANDIDATES = 3
"""Of each task, the fastest by their records, that are measured once; the fastest of them goes on."""

ROUNDS = 9
MARGIN = 1.03


@dataclass(frozen=True)
class Kept:
    """A task whose default schedule was beaten. Microseconds and gain: the lower quartile of the rounds."""

    task: str
    default_us: float
    us: float
    gain: float


def candidates(task: Task, records: Records) -> list[Decisions]:
    """The fastest right ones by records of any version of the rule, as far as the rule still has such decisions."""
    allowed = {choice.name: choice.options for choice in task.space}
    found = [
        trial
        for entry in records.entries()
        if (entry.workload, entry.fingerprint, entry.rule) == (task.workload, task.fingerprint, task.rule)
        for trial in records.trials(entry.key)
        if trial.status == "ok" and trial.decisions != space.default(task)
    ]
    found.sort(key=lambda trial: trial.latency)
    order = [choice.name for choice in task.space]
    return [
        trial.decisions
        for trial in found
        if [name for name, _ in trial.decisions] == order
        and all(value in allowed[name] for name, value in trial.decisions)
    ][:CANDIDATES]


def latencies(task: Task, asked: Sequence[Decisions], measurer: Measurer) -> list[float]:
    """Of candidates of a task, one after the other; infinite for one that failed, and not for one that is slow."""
    results = dict(measurer.measure([(task, decisions) for decisions in asked]))
    return [Trial.of(decisions, results[at], 0.0).seen for at, decisions in enumerate(asked)]


def confirmed(task: Task, asked: Sequence[Decisions], measurer: Measurer) -> tuple[Trial, Trial, float] | None:
    """Default schedule and fastest candidate, measured in turn, and the gain; None where it is less than the margin."""
    default = space.default(task)
    once = latencies(task, [default, *asked], measurer)
    if once[0] < MARGIN * min(once[1:]):
        return None
    best = asked[once.index(min(once[1:])) - 1]
    rounds = [latencies(task, [default, best], measurer) for _ in range(ROUNDS)]
    gain = sorted(before / after for before, after in rounds)[ROUNDS // 4]
    if gain < MARGIN or not all(math.isfinite(seconds) for times in rounds for seconds in times):
        return None
    before, after = (tuple(round(seconds, 10) for seconds in times) for times in zip(*rounds, strict=True))
    now = float(round(time.time()))
    return Trial(default, "ok", before, "", now), Trial(best, "ok", after, "", now), gain


@click.command(cls=Command, help=__doc__)
@click.argument("records", type=options.file)
@click.option("-o", "--output", type=options.file, help="[default: the file of this CPU's kind in schedules/records]")
@click.option("--models", "names", default=",".join(tuning.DEFAULT), callback=listed, show_default=True, help="Names.")
@options.as_json
def main(records: Path, output: Path | None, names: list[str], as_json: bool) -> None:
    target = targets.get("host")
    output = output or SHIPPED / f"{target.name.replace('/', '-')}{exchange.SUFFIX}"
    kept = []
    with (
        terminal.progress(),
        exchange.open(records) as found,
        closing(LocalMeasurer(target)) as measurer,
        Records.in_memory(output) as shipped,
    ):
        for task in extract([pipeline.run(tvmopt.load(tuning.models.get(name))) for name in names], target):
            asked = candidates(task, found)
            if asked and (better := confirmed(task, asked, measurer)) is not None:
                default, best, gain = better
                shipped.add(campaign.entry(task), default, best)
                kept.append(Kept(task.name, default.latency * 1e6, best.latency * 1e6, gain))
        output.parent.mkdir(exist_ok=True)
        exchange.write(shipped, output)
    if as_json:
        terminal.print_json({"kept": kept})
        return
    rows = [[one.task, f"{one.default_us:.2f}", f"{one.us:.2f}", f"{one.gain:.3f}x"] for one in kept]
    terminal.print_table(str(output), ["task", "default us", "best us", "gain"], rows)


if __name__ == "__main__":
    main()
