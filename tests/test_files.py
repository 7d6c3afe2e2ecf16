"""Files that are replaced at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tvmopt.files import replacing


def test_the_new_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    for text in ("old", "new"):
        with replacing(path) as part:
            part.write_text(text)
            assert not path.exists() or path.read_text() == "old"
    assert [(file, file.read_text()) for file in tmp_path.iterdir()] == [(path, "new")]


def test_what_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as part:
            part.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert [(file, file.read_text()) for file in tmp_path.iterdir()] == [(path, "old")]


def test_several_write_at_once(tmp_path: Path) -> None:
    path = tmp_path / "page.html"
    texts = [str(writer) * 100_000 for writer in range(4)]

    def write(text: str) -> None:
        for _ in range(50):
            with replacing(path) as part:
                part.write_text(text)

    with ThreadPoolExecutor(len(texts)) as writers:
        list(writers.map(write, texts))
    assert path.read_text() in texts
    assert list(tmp_path.iterdir()) == [path]
