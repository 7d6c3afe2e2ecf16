"""What ships is right and faster time and again, by the rules as they are now."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from benchmarks import shipped_records, surface
from tvmopt.tuning import space
from tvmopt.tuning.campaign import entry
from tvmopt.tuning.entries import Entry, Trial
from tvmopt.tuning.records import Records
from tvmopt.tuning.task import Decisions, Result, Task

TASK = surface.task((14, 14, 64))
START = space.default(TASK)
OTHER: Decisions = (("pixels", 14), *START[1:])


class Machine(surface.Surface):
    """Takes so long for each candidate, measurement by measurement; over and over."""

    def __init__(self, times: dict[Decisions, list[float | None]]) -> None:
        super().__init__()
        self.times = times

    def measure(self, batch: Sequence[tuple[Task, Decisions]]) -> Iterator[tuple[int, Result]]:
        for index, (_, decisions) in enumerate(batch):
            self.times[decisions].append(seconds := self.times[decisions].pop(0))
            yield index, Result("wrong") if seconds is None else Result("ok", (seconds,))


@pytest.mark.parametrize(
    ("times", "kept"),
    [([1.0], True), ([1.25], False), ([1.0, 1.25], False), ([1.0, 1.0, 1.0, None], False)],
    ids=["faster", "as fast", "lucky at times", "wrong once"],
)
def test_kept(times: list[float | None], kept: bool) -> None:
    found = shipped_records.confirm([(TASK, [OTHER])], Machine({START: [1.25], OTHER: list(times)}))
    assert len(found) == kept
    for better in found:
        default, best = better.trials()
        assert (default.decisions, best.decisions) == (START, OTHER)
        assert better.gain == pytest.approx(1.25)


def test_candidates_of_older_rules_as_far_as_they_still_exist(tmp_path: Path) -> None:
    about = entry(TASK, surface.facts)
    fields = {name: getattr(about, name) for name in about.__struct_fields__}
    decisions = [OTHER, START, (("pixels", 1000), *START[1:]), (("gone", 1), *START[1:]), OTHER[:-1]]
    with Records(tmp_path / "r.db") as records:
        records.add(Entry(**{**fields, "rule_version": "0"}), *(Trial(one, "ok", (1.0,)) for one in decisions))
        records.add(Entry(**{**fields, "workload": "another"}), Trial((("pixels", 7), *START[1:]), "ok", (1.0,)))
        records.add(about, Trial((("pixels", 2), *START[1:]), "wrong"))
        assert shipped_records.candidates(TASK, records) == [OTHER]
