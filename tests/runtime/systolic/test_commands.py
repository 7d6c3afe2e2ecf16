"""The two forms of a command stream."""

from __future__ import annotations

import msgspec
import pytest

from tests.backends.systolic.harness import machine
from tvmopt.errors import ArtifactError
from tvmopt.runtime.systolic.commands import (
    Binary,
    Buffer,
    Layer,
    Load,
    Move,
    Output,
    Permute,
    Pool,
    Program,
    Quant,
    Store,
    Stream,
    Weights,
    Window,
)

U8 = Quant(0.5, 128, "uint8")

PROGRAM = Program(
    machine(),
    (Buffer("x", (1, 4, 4, 3)),),
    (Buffer("y", (1, 4, 4, 5)),),
    (Buffer("spill0", (80,)),),
    b"\x01\x02",
    (
        Layer("y", "conv", 2160),
        Load("x", 0, 0x100, 48, True),
        Load("constants", 64, 0x40, 40),
        Window(0x100, (1, 4, 4, 3), U8, (3, 3), (1, 1), (1, 1), (1, 1, 1, 1), (4, 4)),
        Output(0x200, 5, U8, 128, 255),
        Weights(0x0, 8, 5),
        Stream(0, 3, 0, 8, 0, 16, 0, 5, False, None),
        Stream(0, 3, 8, 8, 0, 16, 0, 5, True, 0x40),
        Pool("average", True, True),
        Binary("add", 0x100, (3, 4), U8, 0x200, (4,), Quant(0.25, 0, "int8")),
        Move(0x100, 2, 3, 0x200, 8, 0x40),
        Permute(0x100, (2, 3), (1, 0), 0x200),
        Store(0x200, "y", 0, 80, True),
    ),
)


def test_machine_form_comes_back_as_it_was() -> None:
    assert Program.decode(PROGRAM.encode()) == PROGRAM


def test_text_form() -> None:
    assert PROGRAM.text().splitlines() == [
        "# array 8x8, 100 MHz, 64 KiB on chip",
        "# input x: 1x4x4x3",
        "# output y: 1x4x4x5",
        "# spill spill0: 80",
        "# constants 2 bytes",
        "layer    y: conv, 2160 MACs",
        "load     x+0 48 -> 0x100 flip",
        "load     constants+64 40 -> 0x40",
        "window   0x100 1x4x4x3 uint8(0.5, 128) kernel 3x3 strides 1x1 dilations 1x1 padding 1x1x1x1 -> 4x4",
        "output   0x200 channels 5 uint8(0.5, 128) in 128..255",
        "weights  0x0 8x5",
        "stream   channels 0+3 rows 0+8 pixels 0+16 set",
        "stream   channels 0+3 rows 8+8 pixels 0+16 add -> columns 0+5 by 0x40",
        "pool     average ceil counting padding",
        "binary   add 0x100 3x4 uint8(0.5, 128), 0x200 4 int8(0.25, 0)",
        "move     0x100 2x3 -> 0x200 pitch 8 by 0x40",
        "permute  0x100 2x3 axes 1x0 -> 0x200",
        "store    0x200 -> y+0 80 flip",
    ]


@pytest.mark.parametrize("data", [b"", b"what", msgspec.msgpack.encode({"format": 1})])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ArtifactError, match="is not a command stream"):
        Program.decode(data)


def test_other_versions_are_refused() -> None:
    with pytest.raises(ArtifactError, match="has command stream format 99, this tvmopt has 1"):
        Program.decode(msgspec.msgpack.encode({"format": 99}))
