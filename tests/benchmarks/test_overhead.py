"""The benchmark of calls: that it measures a model which computes something. Not how long that takes."""

from __future__ import annotations

import numpy as np

from benchmarks import overhead


def test_both_ways_call_the_model() -> None:
    artifact = overhead.one_operator()
    x = np.arange(16, dtype=np.float32)[None]
    assert np.array_equal(artifact.run({"x": x})["y"], -x)
    assert overhead.from_c(artifact) > 0
    assert overhead.from_python(artifact) > 0
