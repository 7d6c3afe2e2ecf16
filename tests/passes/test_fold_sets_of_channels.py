"""Channels that stay or go in sets: groups of a convolution, shuffled ones, heads of attention."""

import numpy as np
import pytest

from tvmopt.passes.fold_dead_channels import KEPT_CHANNELS
from tvmopt.quant.params import QParams

from .qdq import Qdq
from .test_fold_dead_channels import RNG, X, check

W = QParams.per_tensor(0.01, 0, "int8")
Y = QParams.per_tensor(1.0, -10, "int8")
PROBABILITY = QParams.per_tensor(1 / 256, -128, "int8")


def weight(shape, outputs=(), inputs=(), axis=0):
    """Numbers other than zero, but for some outputs (along ``axis``) and inputs."""
    array = (RNG.integers(1, 100, shape) * RNG.choice([-1, 1], shape)).astype(np.int8)
    np.moveaxis(array, axis, 0)[list(outputs)] = 0
    np.moveaxis(array, 1 - axis, 0)[list(inputs)] = 0
    return array


def conv(g, x, *args, **attributes):
    return g.quantize(g.node("Conv", g.dequantize(x, Y), g.weight(weight(*args), W), **attributes), Y)


def matmul(g, x, params, outputs=(), inputs=()):
    return g.quantize(g.node("MatMul", x, g.weight(weight((16, 16), outputs, inputs, axis=1), W)), params)


def moved(g, op, x, *args, **attributes):
    return g.quantize(g.node(op, g.dequantize(x, Y), *map(g.constant, args), **attributes), Y)


def image(g):
    return g.quantize(g.node("Relu", g.input((1, 3, 6, 6), X)), Y)


@pytest.mark.parametrize(("dead", "removed"), [(range(4), 4), ((0, 1, 2, 3, 5), 4), ((1, 5), 0)])
def test_groups_of_a_convolution(dead, removed):
    g = Qdq()
    a = conv(g, image(g), (8, 3, 1, 1))
    b = conv(g, a, (8, 4, 3, 3), dead, group=2)
    out = g.dequantize(conv(g, b, (4, 8, 1, 1)), Y)
    after = check(g, out, removed={a: removed, b: removed} if removed else {})
    reasons = dict(after.get_attr(KEPT_CHANNELS))
    assert (b in reasons) == (len(dead) != removed)
    assert all(why == f"'{b}' has them in groups, which stay or go as wholes" for why in reasons.values())


def test_depthwise_convolutions_with_several_outputs_of_each_input():
    g = Qdq()
    a = conv(g, image(g), (4, 3, 1, 1), (1,))
    b = conv(g, a, (8, 1, 3, 3), (4, 5), group=4)
    out = g.dequantize(conv(g, b, (4, 8, 1, 1)), Y)
    check(g, out, removed={a: 2, b: 4})


@pytest.mark.parametrize(("dead", "removed"), [((1, 5), 2), (range(4), 4), ((1, 2), 0)])
def test_shuffled_channels(dead, removed):
    g = Qdq()
    a = conv(g, image(g), (8, 3, 1, 1), dead)
    apart = moved(g, "Reshape", a, np.array([1, 2, 4, 6, 6]))
    turned = moved(g, "Transpose", apart, perm=[0, 2, 1, 3, 4])
    shuffled = moved(g, "Reshape", turned, np.array([1, 8, 6, 6]))
    out = g.dequantize(conv(g, shuffled, (4, 8, 1, 1)), Y)
    sets = removed // 2 if dead == (1, 5) else removed // 4
    lost = {a: removed, apart: sets, turned: sets, shuffled: removed} if removed else {}
    after = check(g, out, removed=lost)
    assert removed or "in groups" in after.get_attr(KEPT_CHANNELS)[a]


@pytest.mark.parametrize("dead", ["values", "result"])
def test_heads_of_attention(dead):
    """A head whose values are zero, or which the last product does not read: its queries and keys go, too."""
    g = Qdq()
    x = g.input((1, 6, 16), X)
    q, k = matmul(g, x, Y), matmul(g, x, Y)
    v = matmul(g, x, Y, range(4, 8) if dead == "values" else ())
    apart = {name: moved(g, "Reshape", name, np.array([1, 6, 4, 4])) for name in (q, k, v)}
    turned = {
        name: moved(g, "Transpose", apart[name], perm=perm)
        for name, perm in ((q, [0, 2, 1, 3]), (k, [0, 2, 3, 1]), (v, [0, 2, 1, 3]))
    }
    rows, columns, values = (g.dequantize(turned[name], Y) for name in (q, k, v))
    scores = g.quantize(g.node("MatMul", rows, columns), Y)
    real = g.dequantize(scores, Y)
    softmax = g.node("Softmax", real, axis=-1)
    shares = g.quantize(softmax, PROBABILITY)
    heads = g.quantize(g.node("MatMul", g.dequantize(shares, PROBABILITY), values), Y)
    back = moved(g, "Transpose", heads, perm=[0, 2, 1, 3])
    joined = moved(g, "Reshape", back, np.array([1, 6, 16]))
    last = matmul(g, g.dequantize(joined, Y), Y, (), range(4, 8) if dead == "result" else ())
    whole, one = (q, k, v, joined), (*apart.values(), *turned.values(), scores, real, softmax, shares, heads, back)
    after = check(g, g.dequantize(last, Y), removed={**dict.fromkeys(whole, 4), **dict.fromkeys(one, 1)})
    assert dict(after.get_attr(KEPT_CHANNELS)) == {}
