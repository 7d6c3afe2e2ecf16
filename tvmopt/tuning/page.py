"""A campaign as one HTML page without scripts, written as it goes: a browser that shows it loads it again by itself."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from ..errors import TuningError
from ..files import replacing
from .state import JUDGED, shares

if TYPE_CHECKING:
    from .campaign import Campaign
    from .state import State

SECONDS = 5
"""Between two writings."""

POINTS = 300
"""Of a curve, at most."""

_PAGE = Template("""<!doctype html>
<html lang="en">
<meta charset="utf-8">
$refresh<title>$title</title>
<style>
body { font: 14px system-ui, sans-serif; margin: 2em auto; max-width: 75em; color: #222; background: #fff }
table { border-collapse: collapse; width: 100% } th, td { padding: .3em .7em; text-align: right; white-space: nowrap }
th { border-bottom: 1px solid #999; font-weight: 600 } th:first-child, td:first-child { text-align: left }
tr:nth-child(even) { background: #f5f5f5 } svg { vertical-align: middle; background: #fff; border: 1px solid #ddd }
polyline { fill: none; stroke: #06c; stroke-width: 1.5; vector-effect: non-scaling-stroke }
dl { display: grid; grid-template-columns: max-content auto; gap: .2em 1em } dt { font-weight: 600 } dd { margin: 0 }
</style>
<h1>$title</h1>
<p>$summary</p>
<h2>Times faster than with the default schedules (geometric mean over the models), by minutes</h2>
$model
<h2>Tasks, by their share of the time</h2>
<table>
<tr><th>task<th>calls<th>trials<th>default, us<th>best, us<th>gain<th>share<th>best so far<th>ranks
<th>failures
$rows
</table>
<dl>
<dt>calls<dd>by all models together; microseconds are of one call
<dt>share<dd>of the time with the best so far, on average over the models: every model counts the same
<dt>best so far<dd>time of the fastest candidate, by trials
<dt>ranks<dd>of candidates as the cost model predicted them and as measured, the latest $judged: their correlation, by
trials, between -1 and 1 (predicted perfectly)
<dt>failures<dd>candidates that were not built, crashed, were too slow to finish, or gave other results than the default
schedule; none of them is ever used
</dl>
<p>Everything is in <code>$records</code>: <code>tvmopt records best</code> lists what compiling with
<code>--records</code> takes; <code>tvmopt tune</code> with the same records goes on.</p>
</html>
""")


class Page:
    """Watches a campaign, and writes ``path`` every few seconds."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._written = -math.inf

    def __call__(self, campaign: Campaign) -> None:
        """Raises TuningError where the page cannot be written."""
        if not campaign.over and time.monotonic() < self._written + SECONDS:
            return
        self._written = time.monotonic()
        try:
            with replacing(self._path) as part:  # a reader never sees half of it, and two campaigns may have one page
                part.write_text(render(campaign), encoding="utf-8")
        except OSError as error:
            raise TuningError(f"the page cannot be written: {error.strerror}", file=self._path) from None


def render(campaign: Campaign) -> str:
    """The page."""
    now = campaign.past[-1]
    spent = min(1.0, campaign.budget.spent(campaign.past))
    model = [(at.seconds / 60, at.gain) for at in campaign.past]
    states = sorted(zip(campaign.states, shares(campaign.states), strict=True), key=lambda pair: -pair[1])
    state = "over" if campaign.over else f"{spent:.0%} of the budget ({escape(campaign.budget.text)})"
    return _PAGE.substitute(
        refresh="" if campaign.over else f'<meta http-equiv="refresh" content="{2 * SECONDS}">\n',
        title=f"tvmopt tune: {campaign.gain:.3f}x",
        summary=f"{campaign.baseline * 1e6:.1f} us &rarr; {campaign.total * 1e6:.1f} us in "
        f"{len(campaign.states)} tasks; {now.trials} trials, {campaign.failed} failed, "
        f"{now.seconds / 60:.1f} min, {state}",
        model=_curve(model, 900, 200, floor=1.0, labels=True),
        rows="\n".join(_row(state, share) for state, share in states),
        judged=JUDGED,
        records=escape(str(campaign.records.path)),
    )


def _row(state: State, share: float) -> str:
    failures = ", ".join(f"{count} {reason}" for reason, count in sorted(state.failures.items()))
    runs = math.isfinite(state.baseline)
    cells = [
        escape(state.task.name),
        str(state.task.weight),
        str(len(state.times)),
        f"{state.baseline * 1e6:.2f}" if runs else "-",
        f"{state.times[state.best] * 1e6:.2f}" if runs else "-",
        f"{state.gain:.2f}x",
        f"{share:.1%}",
        _curve(state.curve, 140, 30),
        _curve(state.accuracy, 140, 30, floor=-1.0, ceiling=1.0)
        + (f" {state.accuracy[-1][1]:.2f}" if state.accuracy else ""),
        failures,
    ]
    return "<tr>" + "".join(f"<td>{cell}" for cell in cells)


def _curve(
    points: Sequence[tuple[float, float]],
    width: int,
    height: int,
    floor: float = math.inf,
    ceiling: float = -math.inf,
    labels: bool = False,
) -> str:
    """An SVG polyline, scaled to what it shows; ``floor`` and ``ceiling`` are shown in any case.

    labels : write the ends of both axes beside them.
    """
    if len(points) < 2:
        return ""
    points = [*points[:: -(-len(points) // POINTS)], points[-1]]
    xs, ys = zip(*points, strict=True)
    low, high = min(floor, *ys), max(ceiling, *ys)
    scaled = zip(_scaled(xs, min(xs), max(xs), width), _scaled(ys, high, low, height), strict=True)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in scaled)
    ends = ((4, 14, "start", high), (4, height - 6, "start", low), (width - 4, height - 6, "end", max(xs)))
    texts = "".join(f'<text x="{x}" y="{y}" text-anchor="{to}">{value:.4g}</text>' for x, y, to, value in ends)
    return (
        f'<svg width="{width}" height="{height}" role="img" aria-label="from {ys[0]:.3g} to {ys[-1]:.3g}">'
        f'<polyline points="{path}"/>{texts if labels else ""}</svg>'
    )


def _scaled(values: Iterable[float], first: float, last: float, length: int) -> list[float]:
    """``first`` at 2 and ``last`` at ``length`` - 2."""
    return [2 + (value - first) / ((last - first) or 1.0) * (length - 4) for value in values]
