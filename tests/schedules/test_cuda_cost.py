"""The model by which tiles are chosen prefers what it should."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tvmopt.schedules._cuda_cost import Gpu, Shape, best, cycles

A100, H100 = Gpu(108, 163 * 1024), Gpu(132, 227 * 1024)
BERT = [(768, 768), (768, 3072), (3072, 768)]


def shape(rows: int, length: int, columns: int, **more: bool) -> Shape:
    return Shape(1, rows, columns, length // 32, **more)


@pytest.mark.parametrize(("length", "columns"), BERT)
@pytest.mark.parametrize("rows", [1, 16, 128, 1024])
def test_more_multiprocessors_never_take_longer(rows, length, columns):
    case = shape(rows, length, columns)
    gpus = [Gpu(count, 99 * 1024) for count in (40, 84, 108, 132)]
    took = [cycles(case, best(case, gpu), gpu) for gpu in gpus]
    assert took == sorted(took, reverse=True)


@pytest.mark.parametrize("rows", [1, 16])
def test_few_rows_of_a_long_reduction_are_split(rows):
    """Else most multiprocessors would have nothing to do."""
    case = shape(rows, 3072, 768)
    tile = best(case, H100)
    assert tile.splits > 1
    assert cycles(case, tile, H100) < cycles(case, replace(tile, splits=1), H100)


@pytest.mark.parametrize("case", [shape(4096, 768, 3072), shape(1, 768, 768), shape(16, 3072, 768, bytes=True)])
def test_others_are_not(case):
    assert best(case, H100).splits == 1


def test_large_products_have_large_tiles():
    tile = best(shape(8192, 1024, 4096), A100)
    assert (tile.rows, tile.columns) == (128, 256)


def test_a_product_that_few_blocks_compute_has_small_tiles():
    tile = best(shape(128, 768, 768), A100)
    assert (128 // tile.rows) * (768 // tile.columns) > 108 / 2


@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("kib", [64, 99, 163, 227])
def test_tiles_fit(pairs, kib):
    for rows in (1, 100, 5000):
        for length, columns in BERT:
            assert best(shape(rows, length, columns, pairs=pairs), Gpu(108, kib * 1024)).shared <= kib * 1024


def test_large_products_use_more_shared_memory_where_there_is_more():
    case = shape(8192, 4096, 4096)
    gpus = [Gpu(108, kib * 1024) for kib in (48, 99, 163)]
    took = [cycles(case, best(case, gpu), gpu) for gpu in gpus]
    assert took == sorted(took, reverse=True)
    assert took[0] > took[-1]
    assert best(case, A100).shared > 48 * 1024


def test_channels_of_different_groups_share_no_tile():
    assert best(shape(4096, 576, 512, grouped=True), A100).columns == 32
