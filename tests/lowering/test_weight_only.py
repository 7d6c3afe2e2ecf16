"""Products with weights of few bits: sums are floats, so they are compared within what their order may change."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt import target as targets
from tvmopt.lowering.dispatch import lower
from tvmopt.lowering.kernel import Stored
from tvmopt.lowering.weight_only import pack
from tvmopt.quant import reference
from tvmopt.quant.regions import WeightOnly

from .harness import HOST, RUNNABLE, execute


@st.composite
def cases(draw):
    """Weights of 4 and of 8 bits, signed or not; zero points in the middle, at an end, and of every block its own."""
    bits, dtype = draw(st.sampled_from([4, 8])), draw(st.sampled_from(["int8", "uint8"]))
    blocks, n = draw(st.sampled_from([1, 2, 5])), draw(st.sampled_from([1, 4, 16, 33, 100, 144]))
    block = draw(st.sampled_from([8, 16, 32]))
    low = draw(st.integers(0, 200)) if dtype == "uint8" and bits == 4 else 0
    low = low if dtype == "uint8" else -(1 << bits - 1)
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    weight = rng.integers(low, low + (1 << bits), (blocks * block, n)).astype(dtype)
    middle = st.just(np.full((blocks, n), low + (1 << bits - 1)))
    zeros = draw(
        middle | st.just(np.full((blocks, n), low)) | st.just(rng.integers(low, low + (1 << bits), (blocks, n)))
    )
    scale = rng.uniform(0.001, 0.5, (blocks, n)).astype(np.float32)
    bias = rng.normal(size=n).astype(np.float32) if draw(st.booleans()) else None
    shape = draw(st.sampled_from([(1,), (2, 1), (3,), (9,), (2, 5)]))
    x = rng.normal(0, 10, (*shape, blocks * block)).astype(np.float32)
    return WeightOnly(weight, scale, zeros.astype(dtype), bias), x


def check(region, x, target, threads):
    held = (Stored(x.shape, "float32"),)
    assert_close(region, x, execute(region, held, (x,), reference.run(region, x), target, threads))


def assert_close(region, x, have):
    """What a kernel gives is what the reference gives, but for the order of sums."""
    block = len(region.weight) // len(region.scale)
    largest = np.abs(region.weight.astype(np.float64) - region.zero_point.repeat(block, 0)).max() + 256
    bound = 1e-6 * np.abs(x).sum(-1, keepdims=True) * largest * region.scale.max() + 1e-6
    assert (np.abs(have - reference.run(region, x)) <= bound).all()


@pytest.mark.parametrize("target", RUNNABLE)
@given(case=cases(), threads=st.integers(0, 2))
@settings(max_examples=15, deadline=None)
def test_random_regions(target, case, threads):
    check(*case, targets.get(target), threads)


@given(case=cases())
@settings(max_examples=50, deadline=None)
def test_what_is_stored_is_the_weight(case):
    """Exact: the numbers that a kernel unpacks, scaled and shifted, against the weight in float64."""
    region, _ = case
    packed = pack(region, 16)
    fields = packed.words[..., None] << (32 - packed.bits - packed.bits * np.arange(32 // packed.bits, dtype=np.int32))
    stored = (fields >> (32 - packed.bits)).astype(np.float64)  # [groups, blocks, words, vectors, lanes, each]
    scale, offset = (
        np.zeros(()) if part is None else part.astype(np.float64)[:, :, None, :, :, None]
        for part in (packed.scale * np.float32(2.0 ** (32 - packed.bits)), packed.offset)
    )
    real = (stored * scale + offset).transpose(1, 2, 5, 0, 3, 4).reshape(len(region.weight), -1)
    block = len(region.weight) // len(region.scale)
    want = (region.weight.astype(np.float64) - region.zero_point.repeat(block, 0)) * region.scale.repeat(block, 0)
    np.testing.assert_allclose(real[:, : want.shape[1]], want, rtol=0, atol=1e-4)
    assert packed.words.nbytes == packed.bits * len(region.weight) * packed.scale[:, 0].size // 8


def test_symmetric_weights_have_no_offset():
    region = WeightOnly(
        np.arange(16, dtype=np.uint8).reshape(16, 1), np.ones((1, 1), np.float32), np.full((1, 1), 8, np.uint8), None
    )
    packed = pack(region, 16)
    assert (packed.bits, packed.offset) == (4, None)


def test_blocks_that_are_no_whole_words_have_no_kernel():
    region = WeightOnly(np.zeros((12, 8), np.int8), np.ones((1, 8), np.float32), np.zeros((1, 8), np.int8), None)
    assert lower(region, (Stored((1, 12), "float32"),), (1, 8), HOST) is None
