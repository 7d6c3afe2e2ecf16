"""Kernels of sparse weights, chosen where they take less time than the dense one."""

from .lower import lower

__all__ = ["lower"]
