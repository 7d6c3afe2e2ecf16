"""From int8 regions and float ops to scheduled TIR."""

from . import concat, elementwise, pool, quantize, table  # noqa: F401  (each registers its kernels)
