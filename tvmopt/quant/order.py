"""In which sequence the axes of a tensor lie in memory."""

from __future__ import annotations

Order = tuple[int, ...]
"""Which ONNX axis each axis in memory is."""


def plain(rank: int) -> Order:
    """The order of ONNX."""
    return tuple(range(rank))


def channels_last(rank: int) -> Order:
    """Axis 1 behind the others."""
    return (0, *range(2, rank), 1)


def same_memory(a: Order, b: Order, shape: tuple[int, ...]) -> bool:
    """Whether a tensor has its elements in the same sequence in both orders."""
    return [axis for axis in a if shape[axis] != 1] == [axis for axis in b if shape[axis] != 1]
