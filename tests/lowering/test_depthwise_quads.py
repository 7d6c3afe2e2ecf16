import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tvmopt import target as targets
from tvmopt.lowering.depthwise_quads import QUAD, place
from tvmopt.lowering.dispatch import lower, wants
from tvmopt.lowering.kernel import Stored
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv

from .harness import VNNI, check, needs_vnni
from .strategies import tensor

TARGET = targets.get(VNNI)


def convolution(channels, kernel, stride, dilation, padding, zero_points=(3, 100), clamp=(7, 200)) -> Conv:
    x, y = QParams.per_tensor(0.5, zero_points[0], "uint8"), QParams.per_tensor(9.0, zero_points[1], "uint8")
    w = QParams(np.linspace(0.1, 1.9, channels).astype(np.float32), np.zeros(channels, np.int8), 0)
    bias = np.arange(channels, dtype=np.int32) * 100 - 3000
    geometry = (stride, padding, dilation, channels)
    return Conv(x, w, tensor((channels, 1, *kernel), "int8"), bias, y, clamp, *geometry)


def takes(region: Conv, x: np.ndarray) -> bool:
    """Whether the kernel works on quads."""
    (held,) = wants(region, (Stored(x.shape, "uint8"),), TARGET)
    axes = zip(
        x.shape[2:],
        region.padding,
        region.padding[2:],
        region.weight.shape[2:],
        region.dilations,
        region.strides,
        strict=False,
    )
    out = [(n + a + b - (k - 1) * d - 1) // s + 1 for n, a, b, k, d, s in axes]
    return lower(region, (held,), (x.shape[0], x.shape[1], *out), TARGET).func.attrs["tvmopt.op"] == "quads"


def test_places_are_each_others():
    assert [place(place(at)) for at in range(QUAD)] == list(range(QUAD))


@needs_vnni
@given(
    channels=st.sampled_from([8, 16, 20, 24, 32, 48, 60, 64, 80, 96, 100, 112, 128, 144, 192]),
    size=st.tuples(st.integers(1, 9), st.sampled_from([1, 2, 3, 5, 7, 8, 12, 16])),
    kernel=st.tuples(st.integers(1, 7), st.integers(1, 5)),
    stride=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    zero_points=st.tuples(st.integers(0, 255), st.integers(0, 255)),
    clamp=st.tuples(st.integers(0, 128), st.integers(128, 255)),
    batch=st.integers(1, 2),
    padded=st.booleans(),
)
@example(  # rows that are never in the image, of a zero point that leaves the range of an int32 when it is shifted
    channels=16,
    size=(1, 1),
    kernel=(4, 1),
    stride=(1, 1),
    dilation=(1, 1),
    zero_points=(200, 0),
    clamp=(0, 128),
    batch=1,
    padded=False,
)
@settings(max_examples=15, deadline=None)
def test_random_shapes(channels, size, kernel, stride, dilation, zero_points, clamp, batch, padded):
    covered = [(k - 1) * d for k, d in zip(kernel, dilation, strict=True)]
    padding = tuple(n - n // 2 if padded or size[i] <= n else 0 for i, n in enumerate(covered))
    region = convolution(channels, kernel, stride, dilation, padding * 2, zero_points, clamp)
    check(region, tensor((batch, channels, *size), "uint8"), target=TARGET, threads=1)


@needs_vnni
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("channels", "width", "stride", "kernel"),
    [
        (64, 7, 1, 3),
        (64, 9, 2, 3),
        (192, 28, 1, 3),
        (112, 6, 1, 3),
        (144, 5, 2, 3),
        (100, 3, 1, 5),
        (64, 7, 1, 5),
        (128, 16, 1, 5),
        (80, 9, 2, 5),
        (8, 16, 1, 3),
        (32, 6, 1, 5),
        (24, 16, 1, 3),
        (48, 4, 1, 3),
        (16, 16, 2, 3),
        (32, 11, 2, 5),
        (8, 16, 2, 3),
    ],
)
def test_borders_and_quads_that_overlap(channels, width, stride, kernel, threads):
    x = tensor((1, channels, 5, width), "uint8")
    region = convolution(channels, (kernel, kernel), (1, stride), (1, 1), (kernel // 2,) * 4)
    assert takes(region, x)
    check(region, x, target=TARGET, threads=threads)


@needs_vnni
@pytest.mark.parametrize("dilation", [2, 3])
@pytest.mark.parametrize("channels", [32, 80])
def test_columns_between_taps(channels, dilation):
    x = tensor((1, channels, 5, 12), "uint8")
    region = convolution(channels, (3, 3), (1, 1), (dilation, dilation), (dilation,) * 4)
    assert takes(region, x)
    check(region, x, target=TARGET, threads=1)


@needs_vnni
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("channels", [4, 8, 16, 32])
@pytest.mark.parametrize("beside", [1, 3])
def test_columns_shifted_between_quads(channels, stride, beside):
    """Also where the last quad's columns end with the row, and nothing lies behind it."""
    pixels = QUAD // channels * beside
    x = tensor((1, channels, 4, (pixels - 1) * stride + 3), "uint8")
    region = convolution(channels, (3, 3), (1, stride), (1, 1), (0,) * 4)
    assert takes(region, x)
    check(region, x, target=TARGET, threads=1)


def test_without_a_schedule():
    region = convolution(96, (3, 3), (1, 1), (1, 1), (1,) * 4)
    check(region, tensor((1, 96, 5, 6), "uint8"), target=TARGET, threads=0)


def test_few_elements_are_not_taken():
    assert not takes(convolution(16, (3, 3), (2, 2), (1, 1), (1,) * 4), tensor((1, 16, 8, 6), "uint8"))


@needs_vnni
@pytest.mark.parametrize("scale", [1e-9, 1e9])
def test_sums_beyond_the_output(scale):
    """Sums beyond int32 after requantization are left to others; all others saturate."""
    region = convolution(64, (3, 3), (1, 1), (1, 1), (1,) * 4)
    region = Conv(**{**vars(region), "y": QParams.per_tensor(scale, 100, "uint8")})
    check(region, tensor((1, 64, 5, 5), "uint8"), target=TARGET, threads=1)
