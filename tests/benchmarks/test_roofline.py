import pytest

from benchmarks import roofline
from tvmopt.demo import INT8_MODEL


@pytest.fixture(scope="module")
def top():
    return roofline.ceilings()


def test_ceilings_of_this_machine(top):
    assert top.macs > 1e9
    assert top.cache_bytes > top.memory_bytes > 1e8


def test_layers_of_a_model(monkeypatch, top):
    monkeypatch.setattr(roofline.models, "get", lambda name: INT8_MODEL)
    roof = roofline.measure("digits", top)
    assert roof.model == "digits"
    assert roof.attained > 0
    assert set(roof.furthest) <= {layer.name for layer in roof.layers}
    assert len({layer.name for layer in roof.layers}) == len(roof.layers)
    assert all(layer.macs for layer in roof.layers if layer.kernel.startswith(("conv", "matmul")))
    assert all(layer.us > 0 and layer.bytes > 0 for layer in roof.layers)
    lost = [layer.us - layer.bound_us for layer in roof.layers]
    assert lost == sorted(lost, reverse=True)
