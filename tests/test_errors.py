"""Messages name file, node, reason and way out, in that order."""

from __future__ import annotations

from pathlib import Path

import pytest

from tvmopt import errors


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({}, "it is wrong"),
        ({"file": Path("a.onnx")}, "a.onnx: it is wrong"),
        ({"node": "n"}, "node 'n': it is wrong"),
        ({"file": "a.onnx", "node": "n", "hint": "do this"}, "a.onnx: node 'n': it is wrong (do this)"),
    ],
)
def test_message(fields: dict, message: str) -> None:
    assert str(errors.ModelError("it is wrong", **fields)) == message


def test_internal_error_names_stage_file_and_cause() -> None:
    error = errors.InternalError("lowering", "a.onnx", ValueError("first\nsecond"))
    assert str(error) == "a.onnx: internal error while lowering: ValueError: first"
    assert str(errors.InternalError("lowering", "a.onnx", ValueError())).endswith("ValueError: ValueError")
    assert not isinstance(error, errors.TvmoptError)
