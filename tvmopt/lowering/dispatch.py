"""Which kernel computes a region: two functions that every operator family extends for its region class."""

from __future__ import annotations

from dataclasses import replace
from functools import singledispatch

from ..quant.params import QParams
from ..quant.regions import Region
from ..target import Target
from .kernel import Kernel, Stored


@singledispatch
def wants(region: Region, inputs: tuple[Stored, ...], target: Target) -> tuple[Stored, ...]:
    """How the kernel of ``region`` wants its inputs stored, given how they are now.

    Default: as they are, but for permuted ones, which it wants as ONNX has them.
    """
    return tuple(replace(x, permuted=None) for x in inputs)


@singledispatch
def lower(region: Region, inputs: tuple[Stored, ...], out_shape: tuple[int, ...], target: Target) -> Kernel | None:
    """The kernel that computes ``region`` from inputs stored as ``inputs``; None when there is none.

    out_shape is the ONNX shape of the output. The output's storage is the kernel's choice (``Kernel.out``);
    an 8-bit output should be stored with ``activation(dtype, target)``.
    """
    return None


def activation(dtype: str, target: Target) -> str:
    """The dtype in which ``target`` wants a tensor of the model's ``dtype`` stored."""
    return target.activation or dtype if dtype in ("int8", "uint8") else dtype


def as_stored(params: QParams, stored: Stored) -> QParams:
    """Parameters of a tensor of the model, for the way its elements are stored."""
    return params if params.dtype == stored.dtype else params.shifted()
