"""What an accelerator is given to do, as plain data: regions, and moves of elements between them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ...quant.regions import Conv, MatMul, Region


@dataclass(frozen=True, eq=False)
class Tensor:
    """An 8-bit tensor. shape: as ONNX has it."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Reshape:
    """ONNX Reshape."""


@dataclass(frozen=True)
class Transpose:
    """ONNX Transpose."""

    axes: tuple[int, ...]


@dataclass(frozen=True)
class Step:
    """An operator: reads ``inputs``, writes ``output``."""

    op: Region | Reshape | Transpose
    inputs: tuple[Tensor, ...]
    output: Tensor

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        if isinstance(self.op, Conv):
            return self.output.size * math.prod(self.op.weight.shape[1:])
        return self.output.size * self.inputs[0].shape[-1] if isinstance(self.op, MatMul) else 0


@dataclass(frozen=True)
class Graph:
    """What one call of the accelerator computes.

    Attributes
    ----------
    inputs        : given by the host.
    outputs       : taken by the host; each is written by a step.
    steps         : in order, each after those that write what it reads.
    channels_last : whether the host has tensors of rank 3 and more with axis 1 last.
    """

    inputs: Sequence[Tensor]
    outputs: Sequence[Tensor]
    steps: Sequence[Step]
    channels_last: bool
