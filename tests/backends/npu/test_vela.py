"""What the support table takes, Vela takes: a refusal would leave a model without an artifact."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.passes.networks import EXACT, networks
from tvmopt import frontend
from tvmopt.backends.npu.part import parts
from tvmopt.passes import pipeline

from .harness import FAMILIES, accelerator, partitioned


@pytest.mark.parametrize("name", FAMILIES)
@given(case=networks(kinds=(*EXACT, "averagepool")))
@settings(
    deadline=None,
    max_examples=4,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
def test_random_networks(name: str, case) -> None:
    model, _ = case
    split = partitioned(pipeline.run(frontend.load(model), requantize="fixed"), name)
    for part in parts(split, accelerator(name)).values():
        compiled = part.compiled
        for tensors, places in ((part.graph.inputs, compiled.inputs), (part.graph.outputs, compiled.outputs)):
            assert [place.bytes for place in places] == [math.prod(tensor.shape) for tensor in tensors]
        assert compiled.commands.startswith(b"COP1")
