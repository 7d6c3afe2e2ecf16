"""What the support table takes, Vela takes: a refusal would leave a model without an artifact."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings

from tests.passes.networks import EXACT, networks
from tests.quant.regions import argmaxes, softmaxes
from tvmopt import frontend
from tvmopt.passes import pipeline

from .harness import FAMILIES, accepted, convolutions, one, partitioned

few = settings(
    deadline=None,
    max_examples=4,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.mark.parametrize("name", FAMILIES)
@given(case=networks(kinds=(*EXACT, "averagepool")))
@settings(few)
def test_random_networks(name: str, case) -> None:
    model, _ = case
    accepted(partitioned(pipeline.run(frontend.load(model), requantize="fixed"), name), name)


@pytest.mark.parametrize("name", FAMILIES)
@given(case=convolutions)
@settings(few)
def test_random_convolutions(name: str, case) -> None:
    """Of several groups as well, and transposed ones."""
    region, x = case
    assume(region.y is not None)
    accepted(partitioned(one(replace(region, requantize="fixed"), x), name), name)


@pytest.mark.parametrize("name", FAMILIES)
@given(case=softmaxes() | argmaxes())
@settings(few)
def test_random_softmax_and_argmax(name: str, case) -> None:
    region, inputs = case
    accepted(partitioned(one(replace(region, requantize="fixed"), *inputs), name), name)
