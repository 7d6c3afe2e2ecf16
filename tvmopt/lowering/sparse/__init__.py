"""Kernels of sparse weights, chosen where they take less time than the dense one."""

from .lower import Choice, lower

__all__ = ["Choice", "lower"]
