"""A simulator of accelerators that are a systolic array: what a command stream computes, and how long it takes."""

from .array import execute
from .commands import Program
from .timing import Cost, costs

__all__ = ["Cost", "Program", "costs", "execute"]
