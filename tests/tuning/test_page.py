"""The page of a campaign: whole at any time, safe to show, and still when the campaign is over."""

from __future__ import annotations

import dataclasses
from html.parser import HTMLParser
from pathlib import Path

import pytest

from benchmarks import surface
from tvmopt.cli import live
from tvmopt.errors import TuningError
from tvmopt.tuning import page
from tvmopt.tuning.budget import Budget
from tvmopt.tuning.campaign import Campaign
from tvmopt.tuning.records import Records

NAME = "conv <1x1> & [more]"


class Seen(HTMLParser):
    """Which tags a page has, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def tune(path: Path, *watch: object) -> Campaign:
    tasks = [dataclasses.replace(surface.task(shape), name=NAME) for shape in surface.SHAPES[:2]]
    with Records(path) as records:
        campaign = Campaign(
            tasks, records, surface.Surface(), Budget.parse("200trials"), watch=watch, facts=surface.facts
        )
        campaign.run()
    return campaign


def test_written_as_it_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page, "SECONDS", 0)
    path = tmp_path / "page.html"
    texts: list[str] = []
    tune(tmp_path / "r.db", page.Page(path), lambda campaign: texts.append(path.read_text()))
    assert len(texts) > 4
    for text in texts:
        assert text.startswith("<!doctype html>")
        assert text.endswith("</html>\n")
    assert all('http-equiv="refresh"' in text for text in texts[:-1])
    assert "refresh" not in texts[-1]
    last = Seen(texts[-1])
    assert "script" not in last.tags
    assert last.tags.count("tr") == 3
    assert last.tags.count("svg") >= 3
    assert last.text.count(NAME) == 2
    assert last.tags.count("text") == 3
    assert str(tmp_path / "r.db") in last.text
    assert "% of the budget (200trials)" in Seen(texts[1]).text
    assert {one.name for one in tmp_path.iterdir() if "page" in one.name} == {"page.html"}


def test_curves_have_a_limited_number_of_points() -> None:
    drawn = page._curve([(float(x), float(x)) for x in range(10 * page.POINTS)], 100, 50)
    points = drawn.partition('points="')[2].partition('"')[0].split()
    assert page.POINTS / 2 < len(points) <= page.POINTS + 1
    assert (points[0], points[-1]) == ("2.0,48.0", "98.0,2.0")
    assert page._curve([(0.0, 1.0)], 100, 50) == ""


def test_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(TuningError, match=r"no folder/page\.html: the page cannot be written"):
        tune(tmp_path / "r.db", page.Page(tmp_path / "no folder" / "page.html"))


def test_table_and_line(tmp_path: Path) -> None:
    from rich.console import Console

    lines: list[str] = []
    campaign = tune(tmp_path / "r.db", lambda campaign: lines.append(live.line(campaign)))
    assert lines[0].startswith("default schedules first: 0 of 2 tasks in ")
    assert "to go" in lines[2]
    assert "to go" not in lines[-1]
    assert "200 trials" in lines[-1]
    assert f"{sum(state.failures.total() for state in campaign.states)} build" in lines[-1]
    console = Console(width=200, record=True, file=(tmp_path / "table").open("w"))
    console.print(live.table(campaign))
    assert console.export_text().count(NAME) == 2
    narrow = Console(width=72, record=True, file=(tmp_path / "narrow").open("w"))
    narrow.print(live.table(campaign))
    gains = [f"{state.gain:.2f}x" for state in campaign.states]
    assert all(gain in narrow.export_text(clear=False) for gain in gains)
