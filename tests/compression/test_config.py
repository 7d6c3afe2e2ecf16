"""Patterns are read, written and checked."""

from __future__ import annotations

import pytest

from tvmopt.compression import Prune, Quantize
from tvmopt.errors import InputError


@pytest.mark.parametrize(
    ("text", "expected", "block"),
    [
        ("channels:0.5", Prune("channels", 0.5), None),
        ("2:4", Prune("2:4"), None),
        ("block16x1:0.8", Prune("block16x1", 0.8), (16, 1)),
        ("block1x4:0.25", Prune("block1x4", 0.25), (1, 4)),
        ("unstructured:0.9", Prune("unstructured", 0.9), (1, 1)),
    ],
)
def test_patterns(text: str, expected: Prune, block: tuple[int, int] | None) -> None:
    assert Prune.parse(text) == expected
    assert str(expected) == text
    assert expected.block == block


@pytest.mark.parametrize(
    "text", ["", "channels", "channels:", "channels:half", "block0x1:0.5", "block16:0.5", "1:4", "2:4:0.3", "rows:0.5"]
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(InputError):
        Prune.parse(text)


@pytest.mark.parametrize("share", ["0", "1", "-0.1", "1.5", "nan", "inf"])
def test_a_share_is_above_0_and_below_1(share: str) -> None:
    with pytest.raises(InputError, match="the share to prune is"):
        Prune.parse(f"channels:{share}")


def test_activations_are_int8_or_uint8() -> None:
    with pytest.raises(InputError, match="int4"):
        Quantize("int4", "x.npz")  # type: ignore[arg-type]
