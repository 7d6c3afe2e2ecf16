"""All that a GPU has to show, in one go: the tests that need one, then what is timed; the most telling first.

    python -m benchmarks.gpu FOLDER

Every step is a process of its own, since a kernel that goes wrong takes its process's GPU with it. What a step says is
in FOLDER/NAME.txt as it is said, and a line of FOLDER/steps.jsonl tells how it ended, so that a run that is cut off
loses nothing; run again, it goes on with the steps that are not "ok" there.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click

from tvmopt import driver

from . import cuda, cuda_race
from .command import Command


@dataclass(frozen=True)
class Step:
    """How a step ended.

    Attributes
    ----------
    status  : "ok", "failed" or "too long".
    seconds : that it took.
    gpu     : that it ran on, as the driver describes it.
    result  : what it printed as JSON; None where it did not.
    """

    name: str
    status: str
    seconds: float
    gpu: dict[str, Any]
    result: Any


def steps() -> dict[str, list[str]]:
    """Arguments of Python by the step's name, in order."""

    def tests(file: str) -> list[str]:
        return ["-m", "pytest", "-v", "--tb=short", "--forbid-skips", f"tests/gpu/{file}.py"]

    def measured(benchmark: str, *options: str) -> list[str]:
        return ["-m", f"benchmarks.{benchmark}", "--json", *options]

    return {
        "tests of artifacts": tests("test_artifact"),
        "tests of kernels": tests("test_kernels"),
        **{f"race: {name}": measured("cuda_race", "--workloads", name) for name in cuda_race.WORKLOADS},
        "tests of models": tests("test_models"),
        **{f"latency: {name}": measured("cuda", "--models", name, "--targets", "cuda/host") for name in cuda.MODELS},
    }


def run(name: str, arguments: list[str], folder: Path, gpu: dict[str, Any], seconds: float) -> Step:
    """Run a step for at most so many seconds."""
    begin = time.monotonic()
    path = folder / f"{re.sub(r'[^a-z0-9]+', '_', name)}.txt"
    with path.open("w") as output:
        try:
            command = [sys.executable, *arguments]
            code = subprocess.run(
                command, stdout=output, stderr=subprocess.STDOUT, check=False, timeout=seconds
            ).returncode
            status = "failed" if code else "ok"
        except subprocess.TimeoutExpired:
            status = "too long"
    return Step(name, status, time.monotonic() - begin, gpu, _printed(path.read_text()))


def _printed(text: str) -> Any:
    """The JSON document with which what a program says ends."""
    for begin in (match.start() for match in re.finditer(r"^\{", text, re.MULTILINE)):
        try:
            return json.loads(text[begin:])
        except ValueError:
            continue
    return None


def done(file: Path) -> set[str]:
    """Steps that ended well before."""
    lines = file.read_text().splitlines() if file.exists() else []
    return {step["name"] for step in map(json.loads, lines) if step["status"] == "ok"}


def session(folder: Path, seconds: float) -> Iterator[Step]:
    """Run the steps that are left, as long as there is time; each is in the file when it is given."""
    found = driver.find()
    folder.mkdir(parents=True, exist_ok=True)
    file, end = folder / "steps.jsonl", time.monotonic() + seconds
    before = done(file)
    for name, arguments in steps().items():
        left = end - time.monotonic()
        if name in before or left <= 0:
            continue
        step = run(name, arguments, folder, asdict(found), left)
        with file.open("a") as lines:
            print(json.dumps(asdict(step)), file=lines)
        yield step


@click.command(cls=Command, help=__doc__)
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--minutes", default=60.0, show_default=True, help="No step goes on longer.")
def main(folder: Path, minutes: float) -> None:
    failed = 0
    for step in session(folder, minutes * 60):
        failed += step.status != "ok"
        click.echo(f"{step.status:8} {step.seconds:6.1f} s  {step.name}")
    if failed:
        raise click.exceptions.Exit(1)


if __name__ == "__main__":
    main()
