"""Budgets: what people write, and when they are spent."""

from __future__ import annotations

import math

import pytest

from tvmopt.errors import InputError
from tvmopt.tuning.budget import Budget, Progress


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8h", (28800, math.inf, 0, math.inf)),
        ("1.5 min", (90, math.inf, 0, math.inf)),
        ("30s", (30, math.inf, 0, math.inf)),
        ("500trials", (math.inf, 500, 0, math.inf)),
        ("500 trials", (math.inf, 500, 0, math.inf)),
        ("until 1% gain per 30min", (math.inf, math.inf, 0.01, 1800)),
        ("until 0.5% gain per 2h", (math.inf, math.inf, 0.005, 7200)),
    ],
)
def test_parse(text: str, expected: tuple[float, ...]) -> None:
    budget = Budget.parse(text)
    assert (budget.seconds, budget.trials, budget.gain, budget.window) == pytest.approx(expected)


@pytest.mark.parametrize(
    "text", ["", "8", "h", "8 hours", "-1h", "trials", "1.5trials", "until 1% gain", "8h 500trials"]
)
def test_no_budget(text: str) -> None:
    with pytest.raises(InputError, match="is no budget"):
        Budget.parse(text)


@pytest.mark.parametrize("text", ["0s", "0trials", "until 1% gain per 0min"])
def test_budget_for_nothing(text: str) -> None:
    with pytest.raises(InputError, match="allows nothing"):
        Budget.parse(text)


def test_spent() -> None:
    start, half, end = Progress(0, 0, 9), Progress(30, 50, 9), Progress(60, 100, 9)
    assert [Budget.parse("1min").spent([start, now]) for now in (start, half, end)] == [0, 0.5, 1]
    assert [Budget.parse("100trials").spent([start, now]) for now in (start, half, end)] == [0, 0.5, 1]


def test_until_nothing_is_gained() -> None:
    budget = Budget.parse("until 10% gain per 10s")
    past = [Progress(float(second), 0, total) for second, total in enumerate([0] + [100] * 4 + [85] * 20)]
    spent = [budget.spent(past[: now + 1]) >= 1 for now in range(len(past))]
    assert spent.index(True) == 15  # ten seconds after the gain
    assert all(spent[15:])
