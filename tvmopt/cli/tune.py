"""tvmopt tune: find faster schedules by measuring them, until the budget is spent."""

from __future__ import annotations

from pathlib import Path

import click

from . import options, terminal


@click.command("tune")
@click.argument("models", metavar="MODEL.onnx...", nargs=-1, required=True, type=options.file)
@options.target
@click.option(
    "--records", required=True, type=options.file, help="The database to keep all trials in, and to go on from."
)
@click.option(
    "--budget", required=True, help="Of this run: 8h, 500trials, or 'until 1% gain per 30min'. Ctrl-C ends it before."
)
@options.threads
@options.bindings
@options.sparsity
@click.option("--tracker", metavar="HOST:PORT", help="Measure on boards that this RPC tracker has (docs/boards.md).")
@click.option("--key", help="Of the boards to measure on.")
@click.option(
    "--flush-cache",
    "flush_kib",
    metavar="KIB",
    type=click.IntRange(min=0),
    default=0,
    help="Read before each timed run.",
)
@click.option("--page", type=options.file, help="The HTML page to write.  [default: beside the records]")
@click.option("--log", type=options.file, help="The log file to write, a line a trial.  [default: beside the records]")
@options.as_json
def command(
    models: tuple[Path, ...],
    target: str,
    records: Path,
    budget: str,
    threads: int,
    bindings: options.Bindings,
    sparsity: bool,
    tracker: str | None,
    key: str | None,
    flush_kib: int,
    page: Path | None,
    log: Path | None,
    as_json: bool,
) -> None:
    """Tune the kernels of models; the same command goes on where it stopped."""
    from .. import api
    from .live import Live

    page, log = page or records.with_suffix(".html"), log or records.with_suffix(".log")
    with terminal.progress():
        loaded = [api.load(model, **bindings) for model in models]
    click.echo(f"page {page}, log {log}", err=True)
    with Live() as live:
        result = api.tune(
            loaded,
            target,
            records=records,
            budget=budget,
            threads=threads,
            sparsity=sparsity,
            tracker=tracker,
            key=key,
            flush_kib=flush_kib,
            page=page,
            log_file=log,
            watch=live,
        )
    if as_json:
        terminal.print_json(result)
    else:
        click.echo(
            f"{records}: {result.trials} trials in {result.seconds:.0f} s, {result.failed} failed; "
            f"{result.baseline_us:.1f} -> {result.best_us:.1f} us, {result.gain:.3f}x faster than the default schedules"
        )
        same = f"-t {target} --records {records}" + (f" --threads {threads}" if threads > 1 else "")
        click.echo(f"to use it: tvmopt compile {models[0]} {same} -o OUT")
    if result.interrupted:
        raise KeyboardInterrupt
