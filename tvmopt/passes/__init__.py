"""Relax -> Relax: one file per pass, and ``pipeline``, the list of them."""

from .pipeline import run

__all__ = ["run"]
