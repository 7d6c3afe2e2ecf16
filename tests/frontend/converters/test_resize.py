"""Resize in all its modes, against ONNX Runtime."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.frontend.runs import by_onnxruntime, by_tvm, model
from tvmopt import frontend
from tvmopt.errors import UnsupportedError

HOW = ["half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners", "half_pixel_symmetric", "tf_crop_and_resize"]
ROUNDING = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]


def compared(proto, x):
    (have,), (want,) = by_tvm(frontend.load(proto), {"x": x}), by_onnxruntime(proto, {"x": x})
    assert have.shape == want.shape
    np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-5)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    st.sampled_from(["nearest", "linear", "cubic"]), st.sampled_from(HOW), st.sampled_from(ROUNDING),
    st.tuples(st.integers(1, 9), st.integers(1, 9)), st.tuples(st.integers(1, 17), st.integers(1, 17)), st.booleans(),
    st.integers(0, 99),
)  # fmt: skip
def test_sizes(mode, how, rounding, before, after, outside, seed):
    attributes = (
        f'mode="{mode}", coordinate_transformation_mode="{how}", nearest_mode="{rounding}", extrapolation_value=7.5'
    )
    if mode == "cubic" and how != "tf_crop_and_resize":
        attributes += f", exclude_outside={int(outside)}"
    proto = model(
        f"g (float[1,2,{before[0]},{before[1]}] x) => (float[1,2,{after[0]},{after[1]}] y) "
        f"{{ y = Resize<{attributes}>(x, roi, , sizes) }}",
        {"sizes": np.int64([1, 2, *after]), "roi": np.float32([0, 0, -0.2, 0.25, 1, 1, 0.8, 1.1])},
        opset=19,
    )
    x = np.random.default_rng(seed).normal(size=(1, 2, *before)).astype("float32")
    compared(proto, x)


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("how", HOW[:3])
@pytest.mark.parametrize("scale", [0.4, 0.5, 1.3, 2, 3, 7])
def test_scales(mode, how, scale):
    size = int(np.floor(np.float32(scale) * np.float32(6)))
    proto = model(
        f'g (float[1,3,6,6] x) => (float[1,3,{size},{size}] y) {{ y = Resize<mode="{mode}", '
        f'coordinate_transformation_mode="{how}">(x, , scales) }}',
        {"scales": np.float32([1, 1, scale, scale])},
    )
    compared(proto, np.random.default_rng(0).normal(size=(1, 3, 6, 6)).astype("float32"))


@pytest.mark.parametrize(("op", "opset"), [("Upsample", 9), ("Resize", 10)])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
def test_before_opset_11(op, opset, mode):
    scales = np.float32([1, 1, 2, 1.5] if op == "Upsample" else [1, 1, 0.7, 1.5])
    after = np.floor(np.float32([1, 2, 5, 4]) * scales).astype(int)
    proto = model(
        f'g (float[1,2,5,4] x) => (float[{",".join(map(str, after))}] y) {{ y = {op}<mode="{mode}">(x, scales) }}',
        {"scales": scales},
        opset=opset,
    )
    compared(proto, np.random.default_rng(0).normal(size=(1, 2, 5, 4)).astype("float32"))


@pytest.mark.parametrize("policy", ["not_larger", "not_smaller"])
def test_aspect_ratio_is_kept(policy):
    proto = model(
        f'g (float[1,2,5,4] x) => (float[1,2,h,w] y) {{ y = Resize<axes=[3,2], keep_aspect_ratio_policy="{policy}">'
        "(x, , , sizes) }",
        {"sizes": np.int64([7, 6])},
        opset=19,
    )
    compared(proto, np.random.default_rng(0).normal(size=(1, 2, 5, 4)).astype("float32"))


def test_other_ranks():
    for shape, scales in [((2, 7), (1, 2)), ((1, 2, 7), (1, 1, 2)), ((1, 2, 3, 4, 5), (1, 1, 2, 2, 3))]:
        after = [a * b for a, b in zip(shape, scales, strict=True)]
        proto = model(
            f"g (float[{','.join(map(str, shape))}] x) => (float[{','.join(map(str, after))}] y) "
            '{ y = Resize<mode="linear">(x, , scales) }',
            {"scales": np.float32(scales)},
        )
        compared(proto, np.random.default_rng(0).normal(size=shape).astype("float32"))


@pytest.mark.parametrize(
    ("attributes", "scale", "reason"),
    [
        ('coordinate_transformation_mode="align_corners"', 0.6, "gives no whole size"),
        ("antialias=1, mode='linear'".replace("'", '"'), 0.5, "antialias"),
    ],
)
def test_refused(attributes, scale, reason):
    proto = model(
        f"g (float[1,1,4,4] x) => (float[1,1,2,2] y) {{ y = Resize<{attributes}>(x, , scales) }}",
        {"scales": np.float32([1, 1, scale, scale])},
        opset=19,
    )
    with pytest.raises(UnsupportedError, match=reason):
        frontend.load(proto)


def test_computed_scales_are_refused():
    proto = model("g (float[1,1,4,4] x, float[4] s) => (float[1,1,h,w] y) { y = Resize(x, , s) }")
    with pytest.raises(UnsupportedError, match=r"scales or sizes are computed .*when 's' is a constant"):
        frontend.load(proto)
