"""MatMulNBits against ONNX Runtime: every width, blocks that K does not fill, zero points, bias."""

import numpy as np
import pytest

from tests.frontend.runs import compare, model, ops
from tvmopt import frontend
from tvmopt.errors import UnsupportedError


def matmul(bits=4, length=64, block=32, inputs="", attributes="", dtype=np.float32, rows=3):
    rng = np.random.default_rng(bits + length)
    blocks, outputs = -(-length // block), 5
    constants = {
        "B": rng.integers(0, 256, (outputs, blocks, block * bits // 8), np.uint8),
        "s": (0.001 + 0.02 * rng.random(outputs * blocks)).astype(dtype),
        "z": rng.integers(0, 256, outputs * -(-blocks * bits // 8), np.uint8),
        "zf": np.full((outputs, blocks), 7, dtype),
        "g": np.zeros(length, np.int32),
        "bias": rng.normal(size=outputs).astype(dtype),
    }
    kept = {name: array for name, array in constants.items() if name in ("B", "s", *inputs.split(", "))}
    kind = "float16" if dtype == np.float16 else "float"
    body = f"""g ({kind}[{rows},{length}] x) => ({kind}[{rows},5] y) {{
        y = com.microsoft.MatMulNBits<K={length}, N=5, bits={bits}, block_size={block} {attributes}>(x, B, s{inputs})
    }}"""
    return model(body, kept)


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("length", [64, 80, 16])
@pytest.mark.parametrize("inputs", ["", ", z"])
def test_widths_and_lengths(bits, length, inputs):
    loaded = compare(matmul(bits, length, inputs=inputs))
    assert "dequantize" in ops(loaded)


@pytest.mark.parametrize("inputs", [", , , bias", ", z, , bias"])
def test_bias(inputs):
    compare(matmul(inputs=inputs))


def test_float16_is_computed_in_float32():
    proto = matmul(dtype=np.float16)
    loaded = frontend.load(proto)
    assert loaded.outputs[0].dtype == "float16"
    assert str(loaded.mod["main"].ret_ty.dtype) == "float16"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inputs": ", , g"}, "with g_idx or weight_prepacked is not supported"),
        ({"attributes": ", weight_prepacked=1"}, "with g_idx or weight_prepacked is not supported"),
        ({"bits": 5, "block": 32}, "MatMulNBits of 5 bits is not supported"),
        ({"inputs": ", zf"}, "zero points that are not packed"),
    ],
)
def test_what_is_refused(arguments, message):
    with pytest.raises(UnsupportedError, match=message):
        frontend.load(matmul(**arguments))


def test_a_computed_weight_is_refused():
    proto = model(
        """g (float[3,64] x, uint8[5,2,16] B) => (float[3,5] y) {
            y = com.microsoft.MatMulNBits<K=64, N=5, bits=4, block_size=32>(x, B, s)
        }""",
        {"s": np.ones(10, np.float32)},
    )
    with pytest.raises(UnsupportedError, match="a weight that is computed"):
        frontend.load(proto)
