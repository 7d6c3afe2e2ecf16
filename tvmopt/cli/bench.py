"""tvmopt bench: how fast, beside others?"""

from __future__ import annotations

from pathlib import Path

import click

from ..peers import NAMES
from . import options, terminal


def _peers(ctx: click.Context, param: click.Parameter, value: str) -> list[str]:
    names = [name for name in value.split(",") if name]
    for name in names:
        if name not in NAMES:
            raise click.BadParameter(f"'{name}' is not one of {', '.join(NAMES)}")
    return names


@click.command("bench")
@click.argument("model", metavar="MODEL.onnx|ARTIFACT", type=options.file)
@options.target
@click.option("--vs", default="onnxruntime", show_default=True, callback=_peers, help=f"Of {', '.join(NAMES)}.")
@options.threads
@options.bindings
@options.sparsity
@options.records
@options.as_json
def command(
    model: Path,
    target: str,
    vs: list[str],
    threads: int,
    bindings: options.Bindings,
    sparsity: bool,
    records: Path | None,
    as_json: bool,
) -> None:
    """Time a model in turn with other runtimes, on the same input and number of threads."""
    from .. import api

    with terminal.progress():
        subject = api.load(model, **bindings) if model.suffix == ".onnx" else api.open(model)
        result = api.bench(subject, target, vs=vs, threads=threads, sparsity=sparsity, records=records)
    if as_json:
        terminal.print_json(result)
        return
    rows = [
        [
            row.runtime,
            "-" if row.median_us is None else f"{row.median_us:.1f}",
            "-" if row.min_us is None else f"{row.min_us:.1f}",
            "-" if row.runtime not in result.ratio else f"{result.ratio[row.runtime]:.2f}x",
            row.status,
        ]
        for row in result.rows
    ]
    title = f"{result.model} on {result.machine}, {result.threads} thread(s)"
    terminal.print_table(title, ["runtime", "median us", "min us", "tvmopt is faster by", "status"], rows)
