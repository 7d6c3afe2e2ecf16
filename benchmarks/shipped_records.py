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

from . import models, tuning
from .command import Command, listed

CANDIDATES = 3
"""Of each task, the fastest by their records, that are measured once; the fastest of them goes on."""

MODELS = [*tuning.DEFAULT, "bert_tiny-u8-qdq"]
ROUNDS = 8
MARGIN = 1.03


@dataclass(frozen=True)
class Better:
    """A candidate beside the default schedule: seconds of both, round by round."""

    task: Task
    decisions: Decisions
    before: tuple[float, ...]
    after: tuple[float, ...]

    @property
    def gain(self) -> float:
        """What it is faster by in three quarters of the rounds; 0 where it failed once."""
        if not all(map(math.isfinite, (*self.before, *self.after))):
            return 0.0
        return sorted(before / after for before, after in zip(self.before, self.after, strict=True))[ROUNDS // 4]

    def trials(self) -> tuple[Trial, Trial]:
        """As recorded: the default schedule, and the candidate."""
        now = float(round(time.time()))
        pairs = (space.default(self.task), self.before), (self.decisions, self.after)
        default, best = (Trial(d, "ok", tuple(round(s, 10) for s in seconds), "", now) for d, seconds in pairs)
        return default, best


@dataclass(frozen=True)
class Kept:
    """A task whose default schedule was beaten, as printed. Times are the lower quartiles of the rounds."""

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
    possible = (
        trial.decisions
        for trial in found
        if [name for name, _ in trial.decisions] == order
        and all(value in allowed[name] for name, value in trial.decisions)
    )
    return list(dict.fromkeys(possible))[:CANDIDATES]


def latencies(pairs: Sequence[tuple[Task, Decisions]], measurer: Measurer) -> list[float]:
    """Seconds of candidates, one after the other; infinite for one that failed, and not for one that is slow."""
    results = dict(measurer.measure(pairs))
    return [Trial.of(decisions, results[at], 0.0).seen for at, (_, decisions) in enumerate(pairs)]


def confirm(asked: Sequence[tuple[Task, Sequence[Decisions]]], measurer: Measurer) -> list[Better]:
    """Of each task, the candidate that is faster than the default schedule in round after round, if there is one."""
    every = [(task, decisions) for task, found in asked for decisions in (space.default(task), *found)]
    once = dict(zip(((task.workload, decisions) for task, decisions in every), latencies(every, measurer), strict=True))
    hopeful = []
    for task, found in asked:
        best = min(found, key=lambda one: once[task.workload, one])
        if once[task.workload, space.default(task)] >= MARGIN * once[task.workload, best]:
            hopeful.append((task, best))
    turns = [(task, decisions) for task, best in hopeful for decisions in (space.default(task), best)]
    rounds = list(zip(*(latencies(turns, measurer) for _ in range(ROUNDS)), strict=True))
    all_found = [
        Better(task, best, before, after)
        for (task, best), before, after in zip(hopeful, rounds[::2], rounds[1::2], strict=True)
    ]
    return [better for better in all_found if better.gain >= MARGIN]


@click.command(cls=Command, help=__doc__)
@click.argument("records", type=options.file)
@click.option("-o", "--output", type=options.file, help="[default: the file of this CPU's kind in schedules/records]")
@click.option("--models", "names", default=",".join(MODELS), callback=listed, show_default=True, help="Names.")
@options.as_json
def main(records: Path, output: Path | None, names: list[str], as_json: bool) -> None:
    target = targets.get("host")
    output = output or SHIPPED / f"{target.name.replace('/', '-')}{exchange.SUFFIX}"
    with (
        terminal.progress(),
        exchange.open(records) as found,
        closing(LocalMeasurer(target)) as measurer,
        Records.in_memory(output) as shipped,
    ):
        tasks = extract([pipeline.run(tvmopt.load(models.get(name))) for name in names], target)
        asked = [(task, some) for task in tasks if (some := candidates(task, found))]
        kept = []
        for better in confirm(asked, measurer):
            default, best = better.trials()
            shipped.add(campaign.entry(better.task), default, best)
            kept.append(Kept(better.task.name, default.latency * 1e6, best.latency * 1e6, better.gain))
        output.parent.mkdir(exist_ok=True)
        exchange.write(shipped, output)
    if as_json:
        terminal.print_json({"kept": kept})
        return
    rows = [[one.task, f"{one.default_us:.2f}", f"{one.us:.2f}", f"{one.gain:.3f}x"] for one in kept]
    terminal.print_table(str(output), ["task", "default us", "best us", "gain"], rows)


if __name__ == "__main__":
    main()
