"""Tasks to measure: one small convolution."""

from __future__ import annotations

import numpy as np

from tests.lowering.strategies import tensor
from tvmopt import target as targets
from tvmopt.lowering.dispatch import lower, wants
from tvmopt.lowering.kernel import Stored
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv
from tvmopt.target import Target
from tvmopt.tuning import extract
from tvmopt.tuning.task import Task


def convolution(
    target: Target | None = None,
    *,
    size: int = 9,
    kernel: int = 3,
    padding: int = 1,
    zero_points: tuple[int, int] = (3, 3),
    threads: int = 1,
) -> Task:
    """24 -> 40 channels of a square image."""
    target = target or targets.get("host")
    x, w, y = (QParams.per_tensor(0.1, zero_point, "int8") for zero_point in (zero_points[0], 0, zero_points[1]))
    weight = tensor((40, 24, kernel, kernel), "int8")
    bias = np.arange(40, dtype=np.int32)
    region = Conv(x, w, weight, bias, y, (-128, 127), (1, 1), (padding,) * 4, (1, 1), 1)
    extent = size + 2 * padding - kernel + 1
    held = wants(region, (Stored((1, 24, size, size), "int8"),), target)
    func = lower(region, held, (1, 40, extent, extent), target).func
    task = extract.of("conv", func.with_attr("tvmopt.threads", threads), target)
    assert task is not None
    return task
