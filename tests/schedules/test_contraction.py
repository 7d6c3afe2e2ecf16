"""The model by which default tiles are chosen."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tvmopt.schedules._contraction import (
    packable,
    register_tile,
    rows_packed,
    short_tile,
    tiles_per_group,
    tiles_per_visit,
)

extents = st.integers(1, 300)


@given(pixels=extents, blocks=extents, registers=st.sampled_from([8, 15, 16, 31, 32]))
def test_a_tile_fits_the_registers(pixels, blocks, registers):
    rows, vectors = register_tile(pixels, blocks, registers)
    assert 1 <= rows <= pixels
    assert 1 <= vectors <= blocks
    assert rows * vectors + vectors + 1 <= registers


@pytest.mark.parametrize(
    ("pixels", "blocks", "registers", "tile"),
    [
        (56, 4, 32, (14, 2)),  # no rest, and all but two registers busy
        (1, 40, 32, (1, 8)),  # one row: as many blocks as are allowed hide the latency
        (48, 1, 32, (12, 1)),  # a single block: no more than hides the latency
    ],
)
def test_tiles_without_a_rest(pixels, blocks, registers, tile):
    assert register_tile(pixels, blocks, registers) == tile


def test_order_of_tiles():
    small = tiles_per_visit(rows=784, blocks=4, block_bytes=16 * 64, row_bytes=64, pixels=14, vectors=2)
    assert small == 2  # weights that stay in L1: everything for a tile of pixels at once
    deep = tiles_per_visit(rows=49, blocks=32, block_bytes=16 * 4608, row_bytes=4608, pixels=7, vectors=4)
    assert deep == 1  # weights larger than any cache near: each is read once


@given(blocks=extents, vectors=st.integers(1, 8))
def test_what_is_packed_together_divides_tiles_and_rest(blocks, vectors):
    count = packable(blocks, vectors)
    assert vectors % count == 0
    assert blocks % count == 0
    assert short_tile(blocks)[0] * short_tile(blocks)[1] <= 8


@given(row=extents, pixels=extents, blocks=extents)
def test_pixels_packed_together_divide_tiles_and_rows(row, pixels, blocks):
    count = rows_packed(row, pixels, blocks)
    assert count * blocks <= 4 or count == 1
    assert row % count == pixels % count == 0


@given(tiles=extents, size=st.integers(1, 100_000))
def test_groups_are_alike(tiles, size):
    group = tiles_per_group(tiles, size)
    assert 1 <= group <= tiles
    assert group == 1 or group * size <= 16 * 1024
