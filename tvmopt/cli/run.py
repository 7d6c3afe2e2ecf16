"""tvmopt run: one inference of an artifact."""

from __future__ import annotations

from pathlib import Path

import click

from . import options, terminal


@click.command("run")
@click.argument("artifact", type=options.file)
@click.option("--input", "source", required=True, type=options.file, help="An .npz file, one array per input.")
@click.option(
    "--output", "sink", required=True, type=options.file, help="The .npz file to write, one array per output."
)
def command(artifact: Path, source: Path, sink: Path) -> None:
    """Run an artifact once on arrays from a file."""
    from .. import api
    from ..report import npz

    with terminal.progress():
        outputs = api.open(artifact).run(npz.read(source))
    npz.write(sink, outputs)
    for name, array in outputs.items():
        click.echo(f"{name}: {array.dtype} {list(array.shape)}")
