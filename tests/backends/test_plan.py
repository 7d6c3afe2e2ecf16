"""Memory planning: buffers alive together never overlap, and the arena is close to the smallest possible."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmopt.backends.plan import Buffer, place

buffers = st.lists(
    st.builds(
        lambda size, first, length: Buffer("b", size, first, first + length),
        size=st.integers(0, 5000),
        first=st.integers(0, 30),
        length=st.integers(0, 8),
    ),
    max_size=40,
)


@given(buffers, st.sampled_from([1, 4, 16, 64]))
def test_no_two_live_buffers_overlap(buffers: list[Buffer], alignment: int) -> None:
    plan = place(buffers, alignment)
    spans = list(zip(plan.buffers, plan.offsets, strict=True))
    for i, (a, at) in enumerate(spans):
        assert at % alignment == 0
        assert at >= 0
        assert at + a.size <= plan.size
        for b, bt in spans[:i]:
            if a.first <= b.last and b.first <= a.last:
                assert at + a.size <= bt or bt + b.size <= at


@given(buffers)
def test_lower_bound_is_one(buffers: list[Buffer]) -> None:
    plan = place(buffers, 16)
    for step in range(40):
        assert sum(b.size for b in buffers if b.first <= step <= b.last) <= plan.lower_bound
    assert plan.lower_bound <= plan.size


def network(layers: int, rng: random.Random) -> list[Buffer]:
    """Activations of a random network: mostly a chain, some kept for a residual sum, some kernel scratch."""
    made = []
    for step in range(layers):
        skip = rng.choice([1, 1, 1, 1, 2, 3])
        made.append(Buffer(f"t{step}", rng.choice([64, 128, 256, 512]) * rng.randint(1, 96), step, step + skip))
        if rng.random() < 0.3:
            made.append(Buffer(f"s{step}", rng.randint(1, 9000), step, step))
    return made


@pytest.mark.parametrize("seed", range(20))
def test_network_is_within_five_percent_of_the_bound(seed: int) -> None:
    plan = place(network(60, random.Random(seed)), 64)
    assert plan.size <= 1.05 * plan.lower_bound


def test_hole_of_largest_first_is_repaired(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both 3-byte buffers go to offset 0 and the two small ones on top of each other: 5 bytes where 4 do."""
    case = [Buffer("a", 1, 1, 3), Buffer("b", 3, 0, 1), Buffer("c", 1, 2, 4), Buffer("d", 3, 4, 5)]
    assert place(case, 1).size == 4
    monkeypatch.setattr("tvmopt.backends.plan._ATTEMPTS", 0)
    assert place(case, 1).size == 5


def test_report_names_every_buffer() -> None:
    report = place([Buffer("conv", 100, 0, 1), Buffer("pool", 20, 1, 2)], 16).report()
    assert "conv" in report
    assert "pool" in report
    assert "arena 144 bytes" in report
