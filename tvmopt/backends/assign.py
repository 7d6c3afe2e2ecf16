"""Which memory of a device each buffer lives in: the busiest ones in the fastest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import UnsupportedError
from ..target import Region
from .plan import Buffer, Plan, lower_bound, place

# Orders tried before buffers are said not to fit.
_ATTEMPTS = 16


@dataclass(frozen=True)
class Assigned:
    """A region, the numbers of the buffers in it, and where they are."""

    name: str
    members: list[int]
    plan: Plan


def assign(buffers: Sequence[Buffer], regions: Sequence[Region], alignment: int) -> list[Assigned]:
    """Give every buffer a region, and an offset there.

    regions : fastest first.

    Greedy: in the order of their traffic per byte, each buffer goes to the first region that has room for it beside
    those that are there already. One that finds no room moves to the front, and all is done again.

    Raises UnsupportedError where that does not help either.
    """
    order = sorted(range(len(buffers)), key=lambda i: (-buffers[i].traffic / max(1, buffers[i].size), i))
    for _ in range(_ATTEMPTS):
        members, homeless = _fill(buffers, order, regions, alignment)
        if homeless is None:
            return [
                Assigned(region.name, ours, place([buffers[i] for i in ours], alignment))
                for region, ours in zip(regions, members, strict=True)
            ]
        order.remove(homeless)
        order.insert(0, homeless)
    need = lower_bound(buffers, alignment)
    room = ", ".join(f"{region.kib} KiB of {region.name}" for region in regions)
    raise UnsupportedError(f"activations and scratch need {need} bytes at a time, and there are {room}")


def _fill(
    buffers: Sequence[Buffer], order: list[int], regions: Sequence[Region], alignment: int
) -> tuple[list[list[int]], int | None]:
    """By region, the numbers of its buffers; and one that did not fit."""
    members: list[list[int]] = [[] for _ in regions]
    if _fits(buffers, regions[0], alignment):
        return [list(range(len(buffers))), *members[1:]], None
    for number in order:
        for ours, region in zip(members, regions, strict=True):
            if _fits([buffers[i] for i in (*ours, number)], region, alignment):
                ours.append(number)
                break
        else:
            return members, number
    return members, None


def _fits(buffers: Sequence[Buffer], region: Region, alignment: int) -> bool:
    if region.kib is None:
        return True
    room = region.kib << 10
    return lower_bound(buffers, alignment) <= room and place(buffers, alignment, enough=room).size <= room
