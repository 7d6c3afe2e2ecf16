"""Subgraphs of random networks: what is read from Relax computes the same on an array of any size."""

from __future__ import annotations

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.lowering.strategies import tensor
from tests.passes.networks import networks
from tvmopt import frontend
from tvmopt.backends.systolic import read, supports
from tvmopt.passes import pipeline
from tvmopt.passes.partition import partition
from tvmopt.quant.subgraphs import subgraphs

from .harness import check, machine


@given(case=networks(), seed=st.integers(0, 99), memory_kib=st.sampled_from([2, 64]))
@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_random_networks(case, seed: int, memory_kib: int) -> None:
    on = machine(rows=8, columns=4, memory_kib=memory_kib)
    grouped = pipeline.run(frontend.load(case[0]))
    model = partition(grouped, "systolic", lambda op: supports(op, on))
    for function in subgraphs(model.mod).values():
        graph = read.graph(model.mod, function)
        inputs = [tensor(t.shape, t.dtype, seed + i) for i, t in enumerate(graph.inputs)]
        check(graph, [np.asarray(x) for x in inputs], on)
