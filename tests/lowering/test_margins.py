"""Images that are quantized with the border that their convolution reads."""

from __future__ import annotations

import numpy as np
import pytest
import tvm
from hypothesis import given, settings
from hypothesis import strategies as st
from tvm import relax

from tvmopt import target as targets
from tvmopt.lowering.kernel import Margins, Stored
from tvmopt.lowering.margins import margins
from tvmopt.lowering.quantize import quantized_image
from tvmopt.lowering.schedule import schedule
from tvmopt.quant import reference
from tvmopt.quant.params import QParams
from tvmopt.quant.regions import Conv, Quantize
from tvmopt.quant.relax_form import from_function

from .graphs import Graph, conv, run
from .harness import VNNI, needs_vnni, of_threads
from .strategies import tensor

TARGET = targets.get(VNNI)
X = QParams.per_tensor(0.031, 113, "uint8")


def pixels(y: QParams, shape: tuple[int, ...]) -> np.ndarray:
    """Reals at, between and beyond the quantized values."""
    rng = np.random.default_rng(0)
    x = rng.integers(-600, 600, shape).astype(np.float32) / 2 * y.scale.reshape(())
    x.reshape(-1)[:6] = np.inf, -np.inf, 3e38, -3e38, 2.0**31, -0.0
    return rng.permutation(x.reshape(-1)).reshape(shape).astype(np.float32)


@needs_vnni
@pytest.mark.filterwarnings("ignore:overflow")
@given(
    dtype=st.sampled_from(["int8", "uint8"]),
    zero_point=st.integers(-128, 127),
    scale=st.floats(2.0**-10, 2.0**3, width=32),
    size=st.tuples(st.integers(1, 2), st.integers(1, 5), st.sampled_from([16, 48, 96])),
    around=st.builds(Margins, *[st.integers(0, 3)] * 4),
    threads=st.integers(1, 2),
)
@settings(max_examples=15, deadline=None)
def test_bytes_and_margins(dtype, zero_point, scale, size, around, threads):
    y = QParams.per_tensor(scale, zero_point + 128 * (dtype == "uint8"), dtype)
    batch, height, width = size
    x = pixels(y, (batch, 3, height, width))
    known, x[0, 1, 0, 3] = x.copy(), np.nan  # which becomes the lowest
    known[0, 1, 0, 3] = -np.inf
    kernel = quantized_image(Quantize(y), (Stored(x.shape, "float32"),), around, TARGET)
    if kernel is None:  # a scale of which no two factors are known to be the same
        return
    mod = tvm.IRModule({"main": kernel.func.with_attr("global_symbol", "main")})
    scheduled = schedule(of_threads(mod, threads), TARGET)["main"]
    assert "cvtps2dq" in scheduled.script()
    out = tvm.runtime.empty(kernel.out.physical, "uint8")
    arguments = [tvm.runtime.tensor(array) for array in (x, *kernel.constants)]
    tvm.tirx.build(scheduled, target=TARGET.tvm())["main"](*arguments, out)

    wanted = reference.run(Quantize(y), known).astype(np.int32) + 128 * (dtype == "int8")
    edges = (around.above, around.below), (around.left, around.right)
    border = zero_point + 128
    wanted = np.pad(wanted.transpose(0, 2, 3, 1), ((0, 0), *edges, (0, 0)), constant_values=border)
    rows = wanted.reshape(*wanted.shape[:2], -1)
    np.testing.assert_array_equal(out.numpy()[..., : rows.shape[-1]], rows)
    np.testing.assert_array_equal(out.numpy()[..., rows.shape[-1] :], border)


def stem(outputs: int, kernel: int, stride: int, padding: tuple[int, ...] | None = None) -> Conv:
    region = conv(X, 3, outputs, kernel)
    if padding is None:
        padding = region.padding
    geometry = (stride, stride), padding, (1, 1)
    return Conv(X, region.w, region.weight, region.bias, region.y, region.clamp, *geometry)


def quantized(width: int = 32) -> tuple[Graph, relax.Var]:
    built = Graph(x=pixels(X, (1, 3, 12, width)))
    return built, built.region(Quantize(X), *built.params)


def found(built: Graph, *outputs: relax.Var) -> dict[relax.Var, Margins]:
    mod = built.model(*outputs)[0].mod
    regions = {gv: from_function(f) for gv, f in mod.functions.items() if "Composite" in (f.attrs or {})}
    return margins(mod["main"], regions, TARGET)


@needs_vnni
@pytest.mark.filterwarnings("ignore:overflow")
@pytest.mark.parametrize("outputs", [8, 16, 24])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(3, 2, None), (3, 2, (0, 0, 1, 1)), (3, 1, None), (7, 2, None), (3, 3, (0,) * 4)]
)
def test_a_stem_reads_what_is_there(outputs, kernel, stride, padding):
    built, image = quantized()
    y = built.region(stem(outputs, kernel, stride, padding), image)
    top, left, bottom, right = padding or (kernel // 2,) * 4
    assert found(built, y) == {image: Margins(top, bottom, left, right)}
    built, image = quantized()
    run(built, built.region(stem(outputs, kernel, stride, padding), image), target=TARGET)


def test_what_else_is_read_has_none():
    built, image = quantized()
    assert found(built, built.region(stem(8, 3, 2), image), built.region(stem(8, 3, 2), image)) == {}
    built, image = quantized()
    assert found(built, built.region(stem(8, 3, 2), image), image) == {}


def test_what_is_no_image_for_a_window_has_none():
    built, image = quantized(width=20)
    assert found(built, built.region(stem(8, 3, 2), image)) == {}
    built, image = quantized()
    assert found(built, built.region(stem(16, 1, 1), image)) == {}
    built = Graph(x=tensor((1, 3, 12, 32), "uint8"))
    assert found(built, built.region(stem(8, 3, 2), *built.params)) == {}
