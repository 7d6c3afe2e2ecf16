"""Files of torch.save are read as data, never run."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from benchmarks.models.torch_file import read_tensors


class Attack:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return print, ("run",)


def test_a_pickle_that_names_anything_else_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "weights.pth"
    path.write_bytes(pickle.dumps(Attack()))
    with pytest.raises(pickle.UnpicklingError, match=r"unexpected builtins\.print"):
        read_tensors(path)
    assert capsys.readouterr().out == ""
