"""From int8 regions and float ops to scheduled TIR."""

# Each registers its kernels.
from . import argmax, concat, conv, elementwise, matmul, pool, quantize, softmax, table, weight_only  # noqa: F401
from .lower import formats, lower

__all__ = ["formats", "lower"]
