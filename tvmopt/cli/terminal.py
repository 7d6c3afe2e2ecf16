"""What commands print: results to stdout, progress to stderr."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click

from ..logs import handled


@contextmanager
def progress() -> Iterator[None]:
    """Show what the library logs as a line with a spinner, where stderr is a terminal."""
    from rich.console import Console

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    with console.status("starting") as status, handled(logging.getLogger("tvmopt"), _Show(status.update)):
        yield


class _Show(logging.Handler):
    def __init__(self, update: Any) -> None:
        super().__init__()
        self._update = update

    def emit(self, record: logging.LogRecord) -> None:
        self._update(record.getMessage())


def print_json(result: Any) -> None:
    """Print a dataclass as one JSON object. Numbers that JSON has not (infinite, NaN) become null."""
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(result)))


def print_table(title: str, columns: list[str], rows: list[list[str]]) -> None:
    """Print a table; columns after the first are aligned right where they hold numbers."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for index, name in enumerate(columns):
        numeric = all(not row[index] or row[index][0].isdigit() or row[index] == "-" for row in rows)
        table.add_column(name, justify="right" if index and numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*(text.replace("[", "\\[") for text in row))
    click.echo(title)
    wide = Console()
    if not wide.is_terminal:
        wide.width = 160  # a file or a pipe has no width
    wide.print(table)
