"""Arguments and options that several commands share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from ..abi import MOST_THREADS


class Shape(click.ParamType[tuple[str, tuple[int, ...]]]):
    """``NAME=1,3,224,224`` -> ("NAME", (1, 3, 224, 224))."""

    name = "NAME=DIM,DIM,..."

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, tuple[int, ...]]:
        name, _, dims = str(value).rpartition("=")
        try:
            shape = tuple(int(dim) for dim in dims.split(","))
        except ValueError:
            shape = ()
        if not name or not shape or min(shape) < 1:
            self.fail(f"'{value}' is not of the form input=1,3,224,224", param, ctx)
        return name, shape


class Constant(click.ParamType[tuple[str, Any]]):
    """``NAME=16000``, ``NAME=true`` or ``NAME=1,0.5`` -> (NAME, a number or a list of them)."""

    name = "NAME=NUMBER,..."

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, Any]:
        name, _, text = str(value).rpartition("=")
        try:
            numbers = [_number(part.strip()) for part in text.split(",")]
        except ValueError:
            numbers = []
        if not name or not numbers:
            self.fail(f"'{value}' is not of the form rate=16000, flag=true or scales=1,1,2,2", param, ctx)
        return name, numbers if "," in text else numbers[0]


def _number(text: str) -> bool | float:
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    try:
        return int(text)
    except ValueError:
        return float(text)


Bindings = dict[str, dict[str, Any]]
"""What ``bindings`` gives: the ``shapes`` and ``constants`` of ``api.load``."""


def bindings(command: Callable[..., None]) -> Callable[..., None]:
    """Options that bind what a model leaves open about its inputs."""

    @click.option("--shape", "shapes", type=Shape(), multiple=True, help="Bind an input's symbolic dimensions.")
    @click.option("--constant", "constants", type=Constant(), multiple=True, help="Make an input a constant.")
    @functools.wraps(command)
    def bound(
        shapes: tuple[tuple[str, tuple[int, ...]], ...], constants: tuple[tuple[str, Any], ...], **others: Any
    ) -> None:
        command(bindings={"shapes": dict(shapes), "constants": dict(constants)}, **others)

    return bound


file = click.Path(path_type=Path)

model = click.argument("model", metavar="MODEL.onnx", type=file)
target = click.option("-t", "--target", default="host", show_default=True, help="Target name, or path of a .toml file.")
threads = click.option(
    "--threads", type=click.IntRange(1, MOST_THREADS), default=1, show_default=True, help="Of one inference."
)
sparsity = click.option("--sparsity/--no-sparsity", default=True, help="Remove work on zeros (exact).")
compress_weights = click.option(
    "--compress-weights",
    is_flag=True,
    help="Store a microcontroller's weights without their zeros where that saves flash; costs time.",
)
records = click.option("--records", type=file, help="What tune wrote: kernels found there get their fastest schedules.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
