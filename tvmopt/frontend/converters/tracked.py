"""Inputs and attributes that remember what was read: what a converter never looked at, it does not support."""

from __future__ import annotations

from typing import Any


class Inputs(list[Any]):
    """A node's inputs; an index beyond the last gives None, as for an optional input that is left out."""

    def __init__(self, values: list[Any]) -> None:
        super().__init__(values)
        self.read: set[int] = set()

    def __getitem__(self, item: Any) -> Any:
        if isinstance(item, slice):
            return [self[i] for i in range(*item.indices(len(self)))]
        self.read.add(item % len(self) if item < 0 else item)
        return super().__getitem__(item) if item < len(self) else None

    def __iter__(self) -> Any:
        self.read.update(range(len(self)))
        return super().__iter__()

    def __add__(self, other: list[Any]) -> list[Any]:
        return [*self, *other]


class Attributes(dict[str, Any]):
    """A node's attributes by name."""

    def __init__(self, values: dict[str, Any]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self.read.add(str(name))
        return super().__contains__(name)

    def get(self, name: str, default: Any = None) -> Any:
        """As dict.get."""
        self.read.add(name)
        return super().get(name, default)

    def pop(self, name: str, *default: Any) -> Any:
        """As dict.pop."""
        self.read.add(name)
        return super().pop(name, *default)
