"""The cost model and what it is told."""

from __future__ import annotations

import math
from pathlib import Path
from random import Random

import numpy as np
import pytest

from benchmarks import surface
from tvmopt.errors import TuningError
from tvmopt.tuning import cost_model, features, space
from tvmopt.tuning.campaign import entry
from tvmopt.tuning.cost_model import CostModel, Lesson, rank_correlation, scores
from tvmopt.tuning.task import Decisions, Task

from .kernels import convolution

TASKS = [surface.task(shape) for shape in surface.SHAPES[:6]]


def lesson(task: Task, count: int, seed: int = 0) -> Lesson:
    """``count`` random candidates of a task and their times."""
    rng = Random(seed)
    times: dict[Decisions, float] = {}
    while len(times) < count:
        decisions = space.sample(task, rng)
        times[decisions] = surface.seconds(task, decisions)
    return Lesson(entry(task, surface.facts), times)


def ranks(model: CostModel, unseen: Lesson) -> float:
    """Rank correlation over the candidates that are not all the same to the model."""
    target = scores(list(unseen.times.values()))
    predicted, _ = model.predict(unseen.entry, list(unseen.times))
    differ = target > cost_model.WORST
    assert differ.sum() > 30
    return rank_correlation(predicted[differ], target[differ])


def test_facts_of_a_kernel() -> None:
    facts = features.of(convolution())
    assert facts[: features.AXES] == (1, 9, 9, 40) or math.prod(facts[: features.AXES]) >= 9 * 9 * 40
    assert len(facts) > 150
    assert np.isfinite(facts).all()
    assert facts == features.of(convolution())
    assert facts != features.of(convolution(kernel=5, padding=2))


def test_matrix() -> None:
    start: Decisions = (("rows", 2), ("columns", 4))
    found = features.matrix(
        (1, 1, 1, 12, 3, 16), start, [start, (("rows", 1), ("columns", 5))], ["columns", "other", "rows"]
    )
    assert found.shape == (2, 3 * (2 + 5) + 3 + 6)
    np.testing.assert_array_equal(found[0, :6], [2, np.nan, 1, 0, np.nan, 0])
    np.testing.assert_allclose(found[1, [0, 3]], [math.log2(5), math.log2(5 / 4)], rtol=1e-6)
    np.testing.assert_allclose(found[1, 6 + 3 * 3], 1 - 12 / 15)  # tiles of 5 columns on an axis of 12
    np.testing.assert_array_equal(found[:, -6:], [[1, 1, 1, 12, 3, 16]] * 2)


def test_estimate() -> None:
    def guess(axes: tuple[float, ...], *tiles: tuple[int, int]) -> list[float]:
        one: list[Decisions] = [(("pixels", pixels), ("order", 1), ("vectors", vectors)) for pixels, vectors in tiles]
        return list(features.estimate(axes, one[0], one))

    avx512, avx2 = (1, 1, 28, 64, 4, 16), (1, 1, 28, 64, 8, 8)
    default, spilled, short, beyond, rest = guess(avx512, (14, 2), (28, 4), (1, 1), (28, 8), (9, 2))
    assert default == 0
    assert spilled == pytest.approx(math.log((15 * 2 * 2) / (112 / 2 + 1 + 112 + 4 + 1 - 32)))
    assert short == pytest.approx(math.log((15 * 2 * 2) / (6 * 28 * 4)))  # the latency of every sum by itself
    assert beyond == spilled  # there are no more than 4 vectors
    assert rest < 0  # 4 tiles of 9 pixels for 28
    assert guess(avx2, (6, 2), (14, 2))[1] < 0  # 14 x 2 sums are too many for 16 registers
    assert list(features.estimate(avx512, (("lanes", 8),), [(("lanes", 8),), (("lanes", 16),)])) == [0, 0]


def test_before_it_has_learned_it_estimates_and_doubts() -> None:
    unknown = lesson(TASKS[0], 500)
    mean, doubt = CostModel().predict(unknown.entry, list(unknown.times))
    assert (doubt == cost_model.UNKNOWN).all()
    assert mean.min() >= cost_model.WORST
    assert ranks(CostModel(), unknown) > 0.3


def test_scores() -> None:
    np.testing.assert_allclose(scores([2.0, 1.0, math.inf, 1e9]), [-math.log(2), 0, cost_model.WORST, cost_model.WORST])
    np.testing.assert_array_equal(scores([math.inf]), [cost_model.WORST])
    assert scores([]).shape == (0,)


def test_learns_a_task_and_tells_others_apart() -> None:
    model = CostModel()
    assert not model
    model.fit([lesson(task, 256) for task in TASKS[:5]])
    assert model
    assert ranks(model, lesson(TASKS[0], 1000, seed=1)) > 0.75
    assert ranks(model, lesson(TASKS[5], 1000)) > 0.6  # never seen: what a warm start is worth


def test_doubts_what_it_has_not_seen() -> None:
    model = CostModel()
    known = lesson(TASKS[0], 128)
    model.fit([known])
    _, seen = model.predict(known.entry, list(known.times))
    unknown = lesson(TASKS[0], 128, seed=1)
    _, unseen = model.predict(unknown.entry, list(unknown.times))
    assert unseen.mean() > seen.mean()


def test_learns_from_a_limited_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost_model, "ROWS", 200)
    rows: list[int] = []
    monkeypatch.setattr(cost_model, "matrix", lambda *args: rows.append(len(args[2])) or features.matrix(*args))
    model = CostModel()
    lessons = [lesson(TASKS[0], 900), lesson(TASKS[1], 100)]
    model.fit(lessons)
    assert rows == [180, 20]
    assert ranks(model, lesson(TASKS[0], 1000, seed=1)) > 0.7


def test_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    model, again = CostModel(), CostModel()
    seen = lesson(TASKS[0], 64)
    model.fit([seen])
    model.save(path)
    again.load(path)
    for one, two in zip(*(each.predict(seen.entry, list(seen.times)) for each in (model, again)), strict=True):
        np.testing.assert_array_equal(one, two)
    assert [one.name for one in tmp_path.iterdir()] == ["model.npz"]
    with np.load(path, allow_pickle=False) as archive:
        assert bytes(archive["member0"]).startswith(b"{")


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 torn", "no members"])
def test_no_cost_model(tmp_path: Path, content: bytes | str | None) -> None:
    path = tmp_path / "model.npz"
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif content:
        np.savez(path, names=np.array(["a"]), member0=np.frombuffer(b"{}", np.uint8))
    model = CostModel()
    with pytest.raises(TuningError, match=r"model\.npz"):
        model.load(path)
    assert not model


def test_cannot_be_written(tmp_path: Path) -> None:
    model = CostModel()
    model.fit([lesson(TASKS[0], 8)])
    with pytest.raises(TuningError, match="cannot be written"):
        model.save(tmp_path / "no folder" / "model.npz")
