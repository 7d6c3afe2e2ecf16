"""tvmopt targets: what can be compiled for?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import click

from . import options, terminal


@click.command("targets")
@click.argument("name", required=False)
@options.as_json
def command(name: str | None, as_json: bool) -> None:
    """List the targets, or show one."""
    from .. import target

    found = [target.get(known) for known in target.names() if known != "host"] if name is None else target.get(name)
    if as_json:
        terminal.print_json(found if isinstance(found, target.Target) else {"targets": found})
    elif isinstance(found, target.Target):
        _show(found)
    else:
        rows = [
            [one.name, one.summary, " ".join(sorted(one.features)) or "-", one.backend, one.tested] for one in found
        ]
        terminal.print_table(f"host: {_host()}", ["name", "what", "features", "back end", "tested"], rows)


def _show(one: Any) -> None:
    import msgspec

    rows = list(_flat("", msgspec.to_builtins(one)))
    width = max(len(key) for key, _ in rows)
    for key, value in rows:
        click.echo(f"{key:<{width}}  {value}")


def _flat(prefix: str, data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield ("llvm.mcpu", "cascadelake") and so on, without what is not set."""
    for key, value in data.items():
        if isinstance(value, dict):
            yield from _flat(f"{prefix}{key}.", value)
        elif value not in (None, "", []):
            yield prefix + key, ", ".join(map(_text, value)) if isinstance(value, list) else str(value)


def _text(item: Any) -> str:
    return " ".join(map(str, item.values())) if isinstance(item, dict) else str(item)


def _host() -> str:
    from .. import target
    from ..errors import TargetError

    try:
        return target.host().name
    except TargetError as error:
        return str(error)
