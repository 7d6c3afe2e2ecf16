"""Predicts how fast candidates are, from all trials so far: an ensemble of boosted trees, whose spread is its doubt."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import TuningError
from ..files import replacing
from .entries import Entry
from .features import estimate, matrix
from .task import Decisions

if TYPE_CHECKING:
    import xgboost

MEMBERS = 4
ROUNDS = 64
ROWS = 4096
"""Trials that are learned from, at most: learning takes as long in the morning as in the evening."""

WORST = -1.0
"""Score of what failed. What takes e times as long as the best has the same: how much worse does not matter."""

UNKNOWN = 0.4
"""Doubt, as standard deviation of scores, about what is only estimated."""

_PARAMETERS = {
    "objective": "reg:squarederror",
    "tree_method": "hist",
    "max_depth": 6,
    "eta": 0.15,
    "subsample": 0.7,
    "colsample_bytree": 0.8,
    "nthread": 1,  # threads that wait for each other are slower on a machine that measures
}


@dataclass(frozen=True)
class Lesson:
    """What was measured of one task.

    times  : seconds by candidate, infinite for one that failed.
    weight : how much it counts.
    """

    entry: Entry
    times: Mapping[Decisions, float]
    weight: float = 1.0


def scores(times: Sequence[float]) -> np.ndarray:
    """What is predicted: log(best / time), 0 for the fastest. It makes tasks comparable that take unlike times."""
    found = np.asarray(times, np.float64)
    best = found.min(initial=np.inf)
    if np.isinf(best):
        return np.full(len(found), WORST)
    return np.maximum(WORST, -np.log(found / best))


def rank_correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Spearman's, of arrays without many ties; NaN where one is constant."""
    x, y = (np.unique(one, return_inverse=True)[1].astype(float) for one in (a, b))
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])


class CostModel:
    """See the module's text. False before it has learned something."""

    def __init__(self, seed: int = 0) -> None:
        self._rng = np.random.default_rng(seed)
        self._names: tuple[str, ...] = ()
        self._members: list[xgboost.Booster] = []

    def __bool__(self) -> bool:
        return bool(self._members)

    def fit(self, lessons: Sequence[Lesson]) -> None:
        """Learn anew. Where there is more than can be learned from, of each lesson the best half of its share, and
        others at random.
        """
        import xgboost

        total = sum(len(lesson.times) for lesson in lessons)
        if not total:
            return
        self._names = tuple(sorted({name for lesson in lessons for name, _ in lesson.entry.start}))
        xs, ys, weights = [], [], []
        for lesson in lessons:
            candidates, target = list(lesson.times), scores(list(lesson.times.values()))
            kept = self._sample(target, round(len(candidates) * min(1.0, ROWS / total)))
            entry = lesson.entry
            xs.append(matrix(entry.facts, entry.start, [candidates[index] for index in kept], self._names))
            ys.append(target[kept])
            weights.append(np.full(len(kept), lesson.weight))
        data = xgboost.QuantileDMatrix(np.concatenate(xs), np.concatenate(ys), weight=np.concatenate(weights))
        self._members = [
            xgboost.train({**_PARAMETERS, "seed": int(self._rng.integers(1 << 31))}, data, ROUNDS)
            for _ in range(MEMBERS)
        ]

    def _sample(self, target: np.ndarray, count: int) -> np.ndarray:
        order = np.argsort(-target, kind="stable")
        best, others = order[: count // 2], order[count // 2 :]
        return np.concatenate([best, self._rng.permutation(others)[: count - len(best)]])

    def predict(self, entry: Entry, candidates: Sequence[Decisions]) -> tuple[np.ndarray, np.ndarray]:
        """Scores (see ``scores``) of candidates of a task, and how much the members disagree, as standard deviation.

        What is estimated, and doubted, where nothing was learned.
        """
        if not self:
            guess = np.maximum(WORST, estimate(entry.facts, entry.start, candidates))
            return guess, np.full(len(candidates), UNKNOWN)
        x = matrix(entry.facts, entry.start, candidates, self._names)
        found = np.stack([member.inplace_predict(x) for member in self._members])
        return found.mean(axis=0), found.std(axis=0)

    def save(self, path: Path) -> None:
        """Write a NumPy archive: the decisions it knows, and every member as XGBoost's JSON. All of it, or nothing."""
        content = io.BytesIO()
        arrays = {f"member{n}": np.frombuffer(m.save_raw("json"), np.uint8) for n, m in enumerate(self._members)}
        arrays["names"] = np.array(self._names, str)
        np.savez_compressed(content, allow_pickle=False, **arrays)
        try:
            with replacing(path) as part:
                part.write_bytes(content.getbuffer())
        except OSError as error:
            raise TuningError(f"the cost model cannot be written: {error.strerror}", file=path) from None

    def load(self, path: Path) -> None:
        """Read what ``save`` wrote. Raises TuningError for anything else; the model then knows what it knew before."""
        if not path.exists():
            raise TuningError("there is no cost model yet", file=path)
        import xgboost

        try:
            with np.load(path, allow_pickle=False) as archive:
                names = tuple(map(str, archive["names"]))
                raw = [bytearray(archive[key].tobytes()) for key in archive.files if key.startswith("member")]
            members = []
            for one in raw:
                members.append(xgboost.Booster())
                members[-1].load_model(one)
        except Exception as error:  # NumPy, zipfile and XGBoost each have their own
            raise TuningError(f"it is no cost model: {str(error).splitlines()[0]}", file=path) from None
        self._names, self._members = names, members
