"""Which memory region each buffer is in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tvmopt.backends.assign import assign
from tvmopt.backends.plan import Buffer
from tvmopt.errors import UnsupportedError
from tvmopt.target import Region

KIB = 1 << 10
FAST, SLOW = Region("fast", 4), Region("slow", 16)

buffers = st.lists(
    st.builds(
        lambda size, first, length, traffic: Buffer("b", size, first, first + length, traffic),
        size=st.integers(0, 5000),
        first=st.integers(0, 30),
        length=st.integers(0, 8),
        traffic=st.integers(0, 10**6),
    ),
    max_size=25,
)


@given(buffers)
def test_each_buffer_is_in_one_region_that_has_room(buffers: list[Buffer]) -> None:
    assigned = assign(buffers, [FAST, Region("slow", None)], 8)
    assert sorted(number for region in assigned for number in region.members) == list(range(len(buffers)))
    assert [region.name for region in assigned] == ["fast", "slow"]
    assert assigned[0].plan.size <= 4 * KIB
    for region in assigned:
        assert region.plan.buffers == tuple(buffers[number] for number in region.members)


def test_the_busiest_bytes_are_in_the_fastest_region() -> None:
    made = [Buffer("large", 6 * KIB, 0, 2, 60_000), Buffer("small", KIB, 0, 2, 50_000), Buffer("idle", KIB, 0, 2, 9)]
    fast, slow = assign(made, [FAST, SLOW], 8)
    assert [made[i].name for i in fast.members] == ["small", "idle"], "per byte, large is not busy; and idle has room"
    assert [made[i].name for i in slow.members] == ["large"]


def test_one_region_where_all_fits() -> None:
    fast, slow = assign([Buffer("a", KIB, 0, 1), Buffer("b", KIB, 1, 2)], [FAST, SLOW], 8)
    assert (fast.members, slow.members) == ([0, 1], [])


def test_what_only_one_region_holds_goes_first() -> None:
    """The small buffers are busier, but there is another place for them."""
    made = [Buffer(f"small{i}", 2 * KIB, 0, 1, 9_000) for i in range(3)] + [Buffer("large", 12 * KIB, 0, 1, 9_000)]
    first, second = assign(made, [Region("fast", 13), Region("slow", 6)], 8)
    assert (first.members, second.members) == ([3], [0, 1, 2])


def test_too_little_memory() -> None:
    made = [Buffer("a", 16 * KIB, 0, 1), Buffer("b", 8 * KIB, 1, 2)]
    with pytest.raises(
        UnsupportedError, match="need 24576 bytes at a time, and there are 4 KiB of fast, 16 KiB of slow"
    ):
        assign(made, [FAST, SLOW], 8)
