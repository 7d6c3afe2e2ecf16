"""Inputs from files and from nothing: what is adapted, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tvmopt.errors import InputError
from tvmopt.model import TensorSpec
from tvmopt.report import samples

PIXELS = TensorSpec("x", (1, 4, 4, 3), "float32")
BATCH_OF_2 = TensorSpec("x", (2, 3), "float32")


def save(folder: Path, **arrays: Any) -> Path:
    np.savez(folder / "data.npz", **arrays)
    return folder / "data.npz"


@pytest.mark.parametrize(
    ("limits", "factor"), [((0.0, 255.0), 1), ((-128.0, 127.0), 1), ((0.0, 1.0), 255), ((-1.8, 2.3), 255)]
)
def test_uint8_images_are_scaled_by_the_inputs_range(tmp_path: Path, limits: samples.Range, factor: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
    found = samples.read(save(tmp_path, images=images, labels=np.arange(5)), [PIXELS], {"x": limits})
    feeds = list(found)
    assert len(feeds) == len(found) == 5
    np.testing.assert_array_equal(feeds[3]["x"], images[3:4].astype(np.float32) / np.float32(factor))
    assert feeds[3]["x"].dtype == np.float32
    np.testing.assert_array_equal(found.labels, np.arange(5))


@pytest.mark.parametrize("limits", [None, (0.0, 50.0)])
def test_uint8_images_of_unknown_scale_are_refused(tmp_path: Path, limits: samples.Range | None) -> None:
    path = save(tmp_path, images=np.zeros((5, 4, 4, 3), np.uint8))
    with pytest.raises(InputError, match=r"data\.npz: .*save float arrays under the name 'x'"):
        samples.read(path, [PIXELS], {"x": limits})


def test_uint8_images_go_to_a_uint8_input_as_they_are(tmp_path: Path) -> None:
    images = np.random.default_rng(0).integers(0, 256, (5, 4, 4, 3), np.uint8)
    found = samples.read(save(tmp_path, images=images), [TensorSpec("x", (1, 4, 4, 3), "uint8")], {})
    np.testing.assert_array_equal(found.arrays["x"][:, 0], images)


def test_rows_are_grouped_into_the_models_batch(tmp_path: Path) -> None:
    rows = np.arange(15, dtype=np.float32).reshape(5, 3)
    found = samples.read(save(tmp_path, x=rows, labels=np.arange(5)), [BATCH_OF_2], {})
    assert [feeds["x"].tolist() for feeds in found] == [rows[:2].tolist(), rows[2:4].tolist()]
    np.testing.assert_array_equal(found.labels, np.arange(4))


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"x": np.zeros((5, 4), np.float32)}, r"node 'x': shape is \[5, 4\], the model takes \[N, 3\]"),
        ({"x": np.zeros((2, 5, 3), np.float32)}, r"shape is \[2, 5, 3\]"),
        ({"x": np.zeros((5, 3))}, "dtype is float64, the model takes float32"),
        ({"x": np.zeros((1, 3), np.float32)}, "holds 1 rows, one inference takes 2"),
        ({"x": np.full((2, 3), np.nan, np.float32)}, "NaN or infinite"),
        ({"y": np.zeros((5, 3), np.float32)}, r"the model has no input 'y' \(inputs: x\)"),
        ({}, "there is no array 'x'"),
        ({"x": np.zeros((4, 3), np.float32), "labels": np.arange(3)}, "labels must be 4 integers"),
        ({"x": np.zeros((4, 3), np.float32), "labels": np.zeros(4)}, "labels must be 4 integers"),
    ],
)
def test_data_that_does_not_fit_is_refused(tmp_path: Path, arrays: dict[str, np.ndarray], says: str) -> None:
    with pytest.raises(InputError, match=says):
        samples.read(save(tmp_path, **arrays), [BATCH_OF_2], {})


def test_inputs_with_different_counts_are_refused(tmp_path: Path) -> None:
    path = save(tmp_path, x=np.zeros((4, 3), np.float32), y=np.zeros((6, 3), np.float32))
    with pytest.raises(InputError, match="different numbers of samples"):
        samples.read(path, [BATCH_OF_2, TensorSpec("y", (2, 3), "float32")], {})


def test_random_inputs_cover_the_range_and_repeat() -> None:
    specs = [
        TensorSpec("quantized", (8, 8), "float32"),
        TensorSpec("float", (64, 8), "float32"),
        TensorSpec("int8", (64, 8), "int8"),
        TensorSpec("index", (64,), "int64"),
        TensorSpec("scalar", (), "float32"),
    ]
    one, other = (samples.random(specs, {"quantized": (-2.0, 6.0)}, 4) for _ in range(2))
    assert len(one) == 4
    assert all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)
    assert one.arrays["quantized"].min() == pytest.approx(-2, abs=0.2)
    assert one.arrays["quantized"].max() == pytest.approx(6, abs=0.2)
    assert one.arrays["float"].std() == pytest.approx(1, abs=0.1)
    assert (one.arrays["int8"].min(), one.arrays["int8"].max()) == (-128, 127)
    assert set(one.arrays["index"].ravel()) == {0, 1}
    assert {name: array.dtype.name for name, array in one.arrays.items()} == {spec.name: spec.dtype for spec in specs}
    assert next(iter(one))["scalar"].shape == ()


def test_samples_without_dimensions_are_arrays() -> None:
    (feeds,) = samples.random([TensorSpec("rate", (), "int64")], {"rate": None}, 1)
    assert isinstance(feeds["rate"], np.ndarray) and feeds["rate"].shape == ()


def test_random_samples_say_what_they_are_drawn_from() -> None:
    assert samples.random([BATCH_OF_2], {"x": None}, 1).origin == "random, seed 0"
    assert samples.random([BATCH_OF_2], {"x": (-1.0, 1.0)}, 1).origin == "random over the quantized range, seed 0"
