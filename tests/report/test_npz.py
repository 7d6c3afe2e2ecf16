"""Named arrays in files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tvmopt.errors import InputError
from tvmopt.report import npz


def test_any_name_survives(tmp_path: Path) -> None:
    arrays = {"file": np.arange(3, dtype=np.int8), "a/b;c:0": np.ones(()), "": np.zeros((2, 0), np.float32)}
    npz.write(tmp_path / "out", arrays)
    found = npz.read(tmp_path / "out")
    assert list(found) == list(arrays)
    assert all(found[name].dtype == arrays[name].dtype for name in arrays)
    assert all(np.array_equal(found[name], arrays[name]) for name in arrays)


def _single(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.arange(3))


def _pickled(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, x=np.array([{}], dtype=object))


def _corrupt(path: Path) -> None:
    npz.write(path, {"x": np.arange(100)})
    data = bytearray(path.read_bytes())
    data[200] ^= 255
    path.write_bytes(data)


def _truncated(path: Path) -> None:
    npz.write(path, {"x": np.arange(100)})
    path.write_bytes(path.read_bytes()[:300])


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: None, "cannot be read: No such file or directory"),
        (lambda path: path.mkdir(), "cannot be read: Is a directory"),
        (lambda path: path.write_bytes(b""), "damaged, or not an .npz file"),
        (lambda path: path.write_text("hello"), "damaged, or not an .npz file"),
        (_single, "is a single array"),
        (_pickled, "damaged, or not an .npz file of plain arrays"),
        (_corrupt, "damaged"),
        (_truncated, "damaged"),
    ],
)
def test_anything_else_is_refused(tmp_path: Path, spoil, says: str) -> None:
    path = tmp_path / "data.npz"
    spoil(path)
    with pytest.raises(InputError, match=says) as caught:
        npz.read(path)
    assert str(caught.value).startswith(str(path))


def test_a_path_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be written: No such file or directory"):
        npz.write(tmp_path / "nowhere" / "out.npz", {})
