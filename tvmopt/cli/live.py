"""A running campaign: a table on a terminal, a line now and then where there is none."""

from __future__ import annotations

import math
import time
from collections import Counter
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from ..tuning.campaign import Campaign

ROWS = 20
"""Tasks in the table: those that take most of the time."""

LINE_SECONDS = 30
"""Between two lines, without a terminal."""


class Live:
    """Watches a campaign; a context in which the table is on the screen."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live as Screen

        console = Console(stderr=True)
        self._screen = Screen(console=console, auto_refresh=False) if console.is_terminal else None
        self._shown = -math.inf

    def __enter__(self) -> Live:
        if self._screen is not None:
            self._screen.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._screen is not None:
            self._screen.stop()

    def __call__(self, campaign: Campaign) -> None:
        """Show where the campaign is."""
        if self._screen is not None:
            self._screen.update(table(campaign), refresh=True)
        elif campaign.over or time.monotonic() > self._shown + LINE_SECONDS:
            self._shown = time.monotonic()
            click.echo(line(campaign), err=True)


def line(campaign: Campaign) -> str:
    """Where the campaign is, in one line."""
    now = campaign.past[-1]
    known = sum(bool(state.times) for state in campaign.states)
    if known < len(campaign.states) and not campaign.over:
        return f"default schedules first: {known} of {len(campaign.states)} tasks in {_duration(now.seconds)}"
    spent = min(1.0, campaign.budget.spent(campaign.past))
    reasons: Counter[str] = sum((state.failures for state in campaign.states), Counter())
    failures = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common()) or "none"
    left = "" if campaign.over or not spent else f", {_duration(now.seconds * (1 - spent) / spent)} to go"
    return (
        f"{campaign.baseline * 1e6:.1f} -> {campaign.total * 1e6:.1f} us ({campaign.gain:.3f}x), "
        f"{now.trials} trials in {_duration(now.seconds)}{left}; failures: {failures}"
    )


def table(campaign: Campaign) -> Table:
    """Where every task is: microseconds of a call, share of all the time, and as ``ranks`` the correlation of
    predicted and measured ones."""
    from rich.table import Table
    from rich.text import Text

    from ..tuning.state import shares

    shown = Table(box=None, pad_edge=False, title=line(campaign), title_justify="left", title_style="")
    for name in ("task", "calls", "trials", "best us", "gain", "share", "ranks", "failures"):
        shown.add_column(name, justify="left" if name == "task" else "right", no_wrap=name != "task")
    states = sorted(zip(campaign.states, shares(campaign.states), strict=True), key=lambda pair: -pair[1])
    for state, share in states[:ROWS]:
        shown.add_row(
            Text(state.task.name, no_wrap=True, overflow="ellipsis"),  # what a narrow terminal has no room for
            str(state.task.weight),
            str(len(state.times)),
            f"{state.times[state.best] * 1e6:.2f}" if state.seconds else "-",
            f"{state.gain:.2f}x",
            f"{share:.0%}",
            f"{state.accuracy[-1][1]:.2f}" if state.accuracy else "-",
            " ".join(f"{count} {reason}" for reason, count in sorted(state.failures.items())),
        )
    if len(states) > ROWS:
        shown.add_row(f"... and {len(states) - ROWS} more")
    return shown


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
