"""Whole random networks, compiled: the machine code computes what the passes left, bit for bit."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.passes.interpreter import run
from tests.passes.networks import EXACT, networks
from tvmopt import backends, frontend, lowering
from tvmopt import target as targets
from tvmopt.passes import pipeline

from .harness import RUNNABLE

KINDS = (*EXACT, "averagepool", "grouped", "transposed", "conv", "conv", "relu-conv", "depthwise")


@given(
    case=networks(KINDS, most=6, dead=True, wide=True),
    name=st.sampled_from([*RUNNABLE, *RUNNABLE[-1:]]),
    arithmetic=st.sampled_from(["float", "fixed"]),
    sparsity=st.booleans(),
    threads=st.sampled_from([1, 1, 2]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
def test_compiled_networks(case, name, arithmetic, sparsity, threads):
    proto, x = case
    target = targets.get(name)
    model = pipeline.run(frontend.load(proto), sparsity=sparsity, requantize=arithmetic)
    artifact = backends.build(lowering.lower(model, target, threads, sparsity), target, threads)
    outputs = artifact.run({model.inputs[0].name: x})
    for have, want in zip(outputs.values(), run(model.mod, x), strict=True):
        np.testing.assert_array_equal(have, want)
