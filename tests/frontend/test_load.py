"""Whole models: MLPerf Tiny, computed in float as imported, against ONNX Runtime."""

import numpy as np
import onnx
import pytest

from tests.frontend.runs import by_onnxruntime, by_tvm, feeds
from tvmopt import frontend


@pytest.mark.parametrize("name", ["kws", "ic", "vww", "ad"])
def test_mlperf_tiny(mlperf_tiny, name):
    path = mlperf_tiny[name]
    loaded = frontend.load(path)
    assert loaded.source == str(path)
    arrays = feeds(loaded)
    for spec, have, want in zip(
        loaded.outputs, by_tvm(loaded, arrays), by_onnxruntime(onnx.load(path), arrays), strict=True
    ):
        assert have.shape == want.shape == spec.shape
        # A rounding that falls the other way early on moves later ones: close, not equal.
        assert np.corrcoef(have.ravel(), want.ravel())[0, 1] > 0.999
        assert have.argmax() == want.argmax()
