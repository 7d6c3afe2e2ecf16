"""Tuning: how fast trials are made, how good the search is, what it gains, and whether it holds for a night.

- throughput: trials a minute, beside TVM's own MetaSchedule, on the same kernel in batches of the same size.
- search: trials until a candidate is within 5 % of the best, on simulated kernels whose best is known: at random,
  guided by the cost model, and guided from records of other kernels. (``benchmarks.search``)
- replay: the same on the models' real kernels, of which random candidates are measured once. (``benchmarks.replay``)
- endurance: a campaign of many trials with a simulated machine: memory, and the longest wait for the next batch.
- quality: the models' latency with tuned records against the default schedules, in turn, after a campaign.
"""

from __future__ import annotations

import math
import os
import statistics
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import click

import tvmopt
from tvmopt import target as targets
from tvmopt.cli import options, terminal
from tvmopt.passes import pipeline
from tvmopt.report import bench, samples
from tvmopt.tuning import campaign as campaigns
from tvmopt.tuning import space
from tvmopt.tuning.budget import Budget
from tvmopt.tuning.campaign import Campaign
from tvmopt.tuning.extract import extract
from tvmopt.tuning.local import LocalMeasurer
from tvmopt.tuning.records import Records

from . import metaschedule, models, replay, search, surface
from .command import Command, listed
from .search import Search

DEFAULT = [*models.MLPERF_TINY, "mobilenet_v2-s8-qdq", "resnet50-s8-qdq"]
PARTS = ("throughput", "search", "replay", "endurance", "quality")

SETTLED = 500
"""Trials after which memory should not grow: libraries are loaded, and the first lessons learned."""


@dataclass(frozen=True)
class Throughput:
    """Of one kernel. ``good`` are trials that did not fail."""

    task: str
    trials_per_minute: float
    good_per_minute: float
    stock_trials_per_minute: float
    stock_good_per_minute: float
    best_us: float
    stock_best_us: float


@dataclass(frozen=True)
class Endurance:
    """Of a simulated campaign: growth of its memory, the longest time between two batches, and the longest that the
    processor needed for it, which other work on the machine does not change."""

    trials: int
    growth_mib: float
    slowest_batch_seconds: float
    slowest_batch_cpu_seconds: float


@dataclass(frozen=True)
class Quality:
    """A model's median latency, and how many times faster it is tuned."""

    model: str
    default_us: float
    tuned_us: float
    gain: float


@dataclass(frozen=True)
class Report:
    """What is printed as JSON; parts that were not asked for are None."""

    throughput: Throughput | None = None
    search: Search | None = None
    replay: Search | None = None
    endurance: Endurance | None = None
    quality: list[Quality] | None = None
    geometric_mean: float | None = None


def throughput(model: str, trials: int) -> Throughput:
    """The kernel of a model with the most candidates, tuned by both from nothing."""
    target = targets.get("host")
    tasks = extract([pipeline.run(tvmopt.load(models.get(model)))], target)
    task = max(tasks, key=space.size)
    with (
        TemporaryDirectory() as folder,
        Records(Path(folder) / "r.db") as records,
        closing(LocalMeasurer(target)) as measurer,
    ):
        outcome = Campaign([task], records, measurer, Budget.parse(f"{trials}trials")).run()
    stock = metaschedule.tune(task, trials, campaigns.BATCH)
    return Throughput(
        task.name,
        outcome.trials / outcome.seconds * 60,
        (outcome.trials - outcome.failed) / outcome.seconds * 60,
        stock.trials / stock.seconds * 60,
        (stock.trials - stock.failed) / stock.seconds * 60,
        outcome.best_us / task.weight,
        stock.best_us,
    )


def replayed(
    names: Sequence[str], candidates: int, measured: Path, known: Path | None, seeds: int, near: float
) -> Search:
    """See ``benchmarks.replay``."""
    target = targets.get("host")
    tasks = extract([pipeline.run(tvmopt.load(models.get(name))) for name in names], target)
    with (
        Records(measured) as records,
        closing(LocalMeasurer(target)) as measurer,
        Records(known or measured, write=False) as learned,
    ):
        return replay.searches(tasks, candidates, records, measurer, seeds, near, learned)


def endurance(trials: int) -> Endurance:
    """A campaign over all simulated kernels."""
    sizes: list[float] = []
    waits: list[tuple[float, float]] = []

    class Waiting(surface.Surface):
        """Notes how long it was not asked for anything."""

        answered = math.nan, math.nan

        def measure(self, batch):  # type: ignore[no-untyped-def]
            waits.append((time.perf_counter() - self.answered[0], time.process_time() - self.answered[1]))
            yield from super().measure(batch)
            self.answered = time.perf_counter(), time.process_time()

    def watch(campaign: Campaign) -> None:
        if campaign.trials >= SETTLED:
            sizes.append(_resident())

    tasks = [surface.task(shape) for shape in surface.SHAPES]
    with TemporaryDirectory() as folder, Records(Path(folder) / "r.db") as records:
        budget = Budget.parse(f"{trials}trials")
        Campaign(tasks, records, Waiting(), budget, watch=[watch], facts=surface.facts).run()
    return Endurance(trials, (max(sizes) - sizes[0]) / 2**20, *map(max, zip(*waits[1:], strict=True)))


def quality(names: Sequence[str], budget: str, records: Path) -> list[Quality]:
    """One campaign for all models, then every model compiled with and without its records."""
    paths = {name: models.get(name) for name in names}
    tvmopt.tune(list(paths.values()), records=records, budget=budget)
    untuned = records.with_suffix(".untuned.db")
    with Records(records) as tuned, Records(untuned) as defaults:
        for entry in tuned.entries():  # named records come before those that tvmopt ships
            defaults.add(entry, *(trial for trial in tuned.trials(entry.key) if trial.decisions == entry.start))
    found = []
    for name, path in paths.items():
        artifacts = {key: tvmopt.compile(path, records=one) for key, one in (("default", untuned), ("tuned", records))}
        feeds = next(iter(samples.random(artifacts["default"].inputs, {}, 1)))
        runs = {key: artifact.bind(feeds) for key, artifact in artifacts.items()}
        before, after = (statistics.median(times) * 1e6 for times in bench.interleave(runs).values())
        found.append(Quality(name, before, after, before / after))
    return found


def _resident() -> int:
    """Bytes of memory that this process has now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@click.command(cls=Command, help=__doc__)
@click.option("--parts", default=",".join(PARTS), callback=listed, show_default=True, help="What to measure.")
@click.option(
    "--models", "names", default=",".join(DEFAULT), callback=listed, show_default=True, help="Of real kernels."
)
@click.option("--budget", default="1h", show_default=True, help="Of the campaign for quality.")
@click.option("--records", type=options.file, help="Where that campaign keeps its records.  [default: nowhere]")
@click.option("--trials", default=64, show_default=True, help="For throughput, of either side.")
@click.option("--seeds", default=3, show_default=True, help="For search, replay.")
@click.option("--candidates", default=256, show_default=True, help="For replay, of every kernel.")
@click.option("--near", default=search.NEAR, show_default=True, help="For replay: times of the best that are near it.")
@click.option("--measured", type=options.file, help="Records of those that were measured.  [default: none]")
@click.option("--known", type=options.file, help="For replay: records for a warm start.  [default: those measured]")
@click.option("--night", default=50_000, show_default=True, help="Trials for endurance.")
@options.as_json
def main(
    parts: list[str],
    names: list[str],
    budget: str,
    records: Path | None,
    trials: int,
    seeds: int,
    candidates: int,
    measured: Path | None,
    known: Path | None,
    near: float,
    night: int,
    as_json: bool,
) -> None:
    if unknown := set(parts) - set(PARTS):
        raise click.BadParameter(f"'{min(unknown)}' is not one of {', '.join(PARTS)}", param_hint="--parts")
    with terminal.progress(), TemporaryDirectory() as folder:
        gains = quality(names, budget, records or Path(folder) / "r.db") if "quality" in parts else None
        report = Report(
            throughput("ic", trials) if "throughput" in parts else None,
            search.simulated(seeds) if "search" in parts else None,
            replayed(names, candidates, measured or Path(folder) / "m.db", known, seeds, near)
            if "replay" in parts
            else None,
            endurance(night) if "endurance" in parts else None,
            gains,
            statistics.geometric_mean(one.gain for one in gains) if gains else None,
        )
    if as_json:
        terminal.print_json(report)
        return
    for part in (report.throughput, report.search, report.replay, report.endurance):
        if part is not None:
            rows = [[key, value if isinstance(value, str) else f"{value:.4g}"] for key, value in asdict(part).items()]
            terminal.print_table(type(part).__name__.lower(), ["", ""], rows)
    if gains:
        rows = [[one.model, f"{one.default_us:.1f}", f"{one.tuned_us:.1f}", f"{one.gain:.3f}x"] for one in gains]
        title = f"quality: geometric mean {report.geometric_mean:.3f}x"
        terminal.print_table(title, ["model", "default us", "tuned us", "gain"], rows)


if __name__ == "__main__":
    main()
