"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path

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


Shapes = tuple[tuple[str, tuple[int, ...]], ...]
"""What ``shapes`` gives: input names and their dimensions."""

file = click.Path(path_type=Path)

model = click.argument("model", metavar="MODEL.onnx", type=file)
target = click.option("-t", "--target", default="host", show_default=True, help="Target name, or path of a .toml file.")
threads = click.option(
    "--threads", type=click.IntRange(1, MOST_THREADS), default=1, show_default=True, help="Of one inference."
)
shapes = click.option("--shape", "shapes", type=Shape(), multiple=True, help="Bind an input's symbolic dimensions.")
sparsity = click.option("--sparsity/--no-sparsity", default=True, help="Remove work on zeros (exact).")
records = click.option("--records", type=file, help="What tune wrote: kernels found there get their fastest schedules.")
as_json = click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
