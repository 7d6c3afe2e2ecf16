"""What to do to a model."""

from __future__ import annotations

import re
from dataclasses import dataclass
from os import PathLike
from typing import Literal

from ..errors import InputError

PATTERNS = "channels:SHARE, 2:4, block<OUTPUTS>x<INPUTS>:SHARE (block16x1:0.8), unstructured:SHARE"


@dataclass(frozen=True)
class Prune:
    """Which weights of each layer become zero: those of the smallest magnitude, in a pattern.

    Attributes
    ----------
    pattern : "channels"      whole output channels, with their biases: the same ones of all layers whose outputs are
                              added or multiplied, since they can only disappear together, by the sum of their norms;
                              in depthwise convolutions those whose input channel goes; none in layers that compute an
                              output of the model, whose outputs are added to what no layer computes, or beside
                              convolutions in groups.
              "2:4"           of every four successive input channels (1-4, 5-8, ...) of one output and one kernel
                              position, two; in layers whose input channels (of a group) are a multiple of 4.
              "block<O>x<I>"  blocks of O successive outputs times I successive inputs at one kernel position. Blocks
                              begin at multiples of O and I within a group; the last ones may be smaller.
              "unstructured"  single weights: "block1x1".
              All but "channels" leave depthwise convolutions alone.
    share   : how much of every layer becomes zero, between 0 and 1: of its channels or blocks, rounded to a whole
              number of them, at least one of which stays. 0.5 for "2:4".

    Raises
    ------
    InputError : there is no such pattern, or the share is not between 0 and 1.
    """

    pattern: str
    share: float = 0.5

    def __post_init__(self) -> None:
        if self.pattern not in ("channels", "2:4") and self.block is None:
            raise InputError(f"there is no pruning pattern '{self.pattern}'", hint=f"one of {PATTERNS}")
        if not 0 < self.share < 1:
            raise InputError(f"the share to prune is {self.share}, it has to be above 0 and below 1")
        if self.pattern == "2:4" and self.share != 0.5:
            raise InputError(f"the share of 2:4 is 0.5, not {self.share}")

    @classmethod
    def parse(cls, text: str) -> Prune:
        """Read "channels:0.5", "block16x1:0.8", "unstructured:0.9" or "2:4"."""
        if text == "2:4":
            return cls(text)
        pattern, _, share = text.rpartition(":")
        try:
            return cls(pattern, float(share))
        except ValueError:
            raise InputError(f"'{text}' is not a pruning pattern", hint=f"one of {PATTERNS}") from None

    @property
    def block(self) -> tuple[int, int] | None:
        """Outputs and inputs of a block; None for patterns without blocks."""
        if self.pattern == "unstructured":
            return 1, 1
        match = re.fullmatch(r"block([1-9]\d*)x([1-9]\d*)", self.pattern)
        return None if match is None else (int(match[1]), int(match[2]))

    def __str__(self) -> str:
        return self.pattern if self.pattern == "2:4" else f"{self.pattern}:{self.share:g}"


@dataclass(frozen=True)
class Quantize:
    """Quantize to QDQ form: int8 weights, symmetric and per output channel; activations by their min and max.

    Attributes
    ----------
    activations : "int8" or "uint8", with zero points.
    calibration : an .npz file of inputs, all of which are used (see ``report.samples.read``).
    """

    activations: Literal["int8", "uint8"]
    calibration: str | PathLike[str]

    def __post_init__(self) -> None:
        if self.activations not in ("int8", "uint8"):
            raise InputError(f"activations cannot be quantized to '{self.activations}'", hint="int8 or uint8")
