import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from tvm import relax

from tvmopt import frontend
from tvmopt.passes import pipeline
from tvmopt.passes.fold_dead_channels import FoldDeadChannels

from .interpreter import run
from .networks import EXACT, networks

relaxed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
WITH_WEIGHTS = ("conv", "conv", "depthwise", "depthwise", "gemm", "relu-conv", "relu-conv")


@given(case=networks(kinds=(*WITH_WEIGHTS, *EXACT, "averagepool"), most=12, dead=True))
@settings(relaxed, max_examples=500)
def test_folding_changes_no_bit(case):
    model, x = case
    grouped = pipeline.run(frontend.load(model), sparsity=False)
    folded = FoldDeadChannels()(grouped.mod)
    relax.analysis.well_formed(folded)
    for ours, theirs in zip(run(folded, x), run(grouped.mod, x), strict=True):
        assert np.array_equal(ours, theirs)
