import sys

import pytest

from benchmarks import plots
from tvmopt.errors import DependencyError


def test_bars_are_written_alike_every_time(tmp_path):
    paths = [tmp_path / name for name in ("a.svg", "b.svg")]
    for path in paths:
        plots.bars(path, "title", ["kws", "ic"], {"onnxruntime": [2.0, None], "tvm": [40.0, 500.0]})
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert b"<svg" in paths[0].read_bytes()


def test_a_roofline(tmp_path):
    points = {"kws": [(3.0, 1e9), (40.0, 3e11)]}
    plots.roofline(tmp_path / "r.svg", "title", points, 5e11, {"cache": 2e11, "memory": 3e10})
    assert b"<svg" in (tmp_path / "r.svg").read_bytes()


def test_without_matplotlib(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(DependencyError, match=r"plots need matplotlib.*tvmopt\[bench\]"):
        plots.bars(tmp_path / "a.svg", "title", [], {})
