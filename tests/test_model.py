"""The value that travels: what is changed is a new one."""

from __future__ import annotations

import dataclasses

import pytest

from tvmopt import demo, frontend
from tvmopt.model import Model, PassRecord, TensorSpec


@pytest.fixture(scope="module")
def model() -> Model:
    return frontend.load(demo.INT8_MODEL)


def test_replace_leaves_the_original(model: Model) -> None:
    record = PassRecord("Nothing", {"macs": 1}, {"macs": 1})
    changed = model.replace(history=(record,))
    assert (model.history, changed.history) == ((), (record,))
    assert changed.mod is model.mod
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.source = "elsewhere"  # type: ignore[misc]


def test_specs_are_in_the_order_of_main(model: Model) -> None:
    assert model.inputs == (TensorSpec("input", (1, 1, 8, 8), "float32"),)
    assert [spec.name for spec in model.outputs] == ["logits"]
    assert len(model.mod["main"].params) == len(model.inputs)
    assert model.source == str(demo.INT8_MODEL)
    assert len(bytes.fromhex(model.sha256)) == 32
