"""The model by which tiles are chosen prefers what it should."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tvmopt.schedules._cuda_cost import SHARED, Shape, best, cycles

BERT = [(768, 768), (768, 3072), (3072, 768)]


def shape(rows: int, length: int, columns: int, **more: bool) -> Shape:
    return Shape(1, rows, columns, length // 32, **more)


@pytest.mark.parametrize(("length", "columns"), BERT)
@pytest.mark.parametrize("rows", [1, 16, 128, 1024])
def test_more_multiprocessors_never_take_longer(rows, length, columns):
    case = shape(rows, length, columns)
    took = [cycles(case, best(case, count), count) for count in (40, 84, 108, 132)]
    assert took == sorted(took, reverse=True)


@pytest.mark.parametrize("rows", [1, 16])
def test_few_rows_of_a_long_reduction_are_split(rows):
    """Else most multiprocessors would have nothing to do."""
    case = shape(rows, 3072, 768)
    tile = best(case, 132)
    assert tile.splits > 1
    assert cycles(case, tile, 132) < cycles(case, replace(tile, splits=1), 132)


@pytest.mark.parametrize("case", [shape(4096, 768, 3072), shape(1, 768, 768), shape(16, 3072, 768, bytes=True)])
def test_others_are_not(case):
    assert best(case, 132).splits == 1


def test_large_products_have_large_tiles():
    tile = best(shape(8192, 1024, 4096), 108)
    assert (tile.rows, tile.columns) == (128, 128)


def test_a_product_that_few_blocks_compute_has_small_tiles():
    tile = best(shape(128, 768, 768), 108)
    assert (128 // tile.rows) * (768 // tile.columns) > 108 / 2


@pytest.mark.parametrize("pairs", [False, True])
def test_tiles_fit(pairs):
    for rows in (1, 100, 5000):
        for length, columns in BERT:
            assert best(shape(rows, length, columns, pairs=pairs), 108).shared <= SHARED


def test_channels_of_different_groups_share_no_tile():
    assert best(shape(4096, 576, 512, grouped=True), 108).columns == 32
