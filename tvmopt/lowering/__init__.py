"""From int8 regions and float ops to scheduled TIR."""

from . import argmax, concat, conv, elementwise, matmul, pool, quantize, table  # noqa: F401  (each registers its kernels)
from .lower import formats, lower

__all__ = ["formats", "lower"]
