from benchmarks import amx
from tvmopt.demo import INT8_MODEL


def test_estimate_of_a_model(monkeypatch):
    monkeypatch.setattr(amx.models, "get", lambda name: INT8_MODEL)
    found = amx.estimate("digits")
    assert found.layers >= 1
    assert 0 < found.peak < found.fill <= 1
    assert found.gain > 1
    assert "its speed was not measured" in amx.markdown([found])
