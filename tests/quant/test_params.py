"""Quantization parameters."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tvmopt.quant.params import QParams
from tvmopt.quant.reference import dequantize


@st.composite
def signed(draw):
    """An 8-bit weight [3, 4, 2] and parameters, some scales of which are negative."""
    dtype = draw(st.sampled_from([np.int8, np.uint8]))
    axis = draw(st.sampled_from([None, 0, 1]))
    weight = draw(arrays(dtype, (3, 4, 2)))
    shape = () if axis is None else weight.shape[axis]
    scale = draw(arrays(np.float32, shape, elements=st.sampled_from([0.1, -0.1, 3e-5, -7.3])))
    return weight, QParams(scale, np.array(draw(arrays(dtype, shape))), axis)


@given(signed())
def test_scales_become_positive_and_values_stay(given):
    weight, params = given
    values, positive = params.positive(weight)
    assert (positive.scale > 0).all()
    assert (values.dtype, positive.dtype, positive.zero_point.shape) == (weight.dtype, params.dtype, params.scale.shape)
    np.testing.assert_array_equal(dequantize(values, positive), dequantize(weight, params))


def test_a_zero_point_stays_where_all_mirror_images_fit():
    params = QParams(np.float32([-1, -1, 1]), np.int8([0, 0, 0]), 0)
    values, positive = params.positive(np.int8([[127, -127], [5, -128], [5, -128]]))
    assert values.tolist() == [[-127, 127], [-6, 127], [5, -128]]
    assert positive.zero_point.tolist() == [0, -1, 0]
