"""BERT-Tiny (Turc et al. 2019, arXiv:1908.08962): 2 layers, hidden 128, 2 heads, 128 tokens, classifier of 2 labels.

Written as exporters write it: matrix products with separate biases, gelu as a formula over Erf.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
from onnx import ModelProto, TensorProto

from ..data import SEQUENCE, VOCABULARY
from .graph import Graph

LAYERS, HIDDEN, HEADS, INTERMEDIATE, LABELS = 2, 128, 2, 512, 2


def build() -> ModelProto:
    """Float model, inputs int64 [1, 128] input_ids, attention_mask, token_type_ids, output 2 logits."""
    g = Graph("bert_tiny")
    ids, mask, types = (
        g.input(name, (1, SEQUENCE), TensorProto.INT64) for name in ("input_ids", "attention_mask", "token_type_ids")
    )
    words = g.constant("embeddings.word.weight", g.normal(VOCABULARY, HIDDEN, deviation=0.5))
    positions = g.constant("embeddings.position.weight", g.normal(1, SEQUENCE, HIDDEN, deviation=0.5))
    segments = g.constant("embeddings.token_type.weight", g.normal(2, HIDDEN, deviation=0.5))
    x = g.op("Gather", "embeddings.word", words, ids)
    x = g.op("Add", "embeddings.sum", x, g.op("Gather", "embeddings.token_type", segments, types))
    x = _layer_norm(g, "embeddings.LayerNorm", g.op("Add", "embeddings.add", x, positions))
    bias = _mask_bias(g, mask)
    for layer in range(LAYERS):
        x = _encoder(g, f"encoder.{layer}", x, bias)
    first = g.op("Gather", "pooler.first", x, g.constant("pooler.index", np.int64(0)), axis=1)
    pooled = g.op("Tanh", "pooler.tanh", g.linear("pooler.dense", first, _xavier(g, HIDDEN, HIDDEN)))
    return g.model(g.linear("classifier", pooled, _xavier(g, LABELS, HIDDEN)), (1, LABELS))


def _encoder(g: Graph, name: str, x: str, mask_bias: str) -> str:
    attention = f"{name}.attention"
    head = HIDDEN // HEADS
    split = g.constant(f"{attention}.split", np.array([0, SEQUENCE, HEADS, head]))
    parts = {}
    for part, order in (("query", [0, 2, 1, 3]), ("key", [0, 2, 3, 1]), ("value", [0, 2, 1, 3])):
        y = _dense(g, f"{attention}.{part}", x, HIDDEN, HIDDEN)
        y = g.op("Reshape", f"{attention}.{part}.split", y, split)
        parts[part] = g.op("Transpose", f"{attention}.{part}.heads", y, perm=order)
    scores = g.op("MatMul", f"{attention}.scores", parts["query"], parts["key"])
    scores = g.op("Div", f"{attention}.scaled", scores, g.constant(f"{attention}.scale", np.float32(sqrt(head))))
    weights = g.op("Softmax", f"{attention}.softmax", g.op("Add", f"{attention}.masked", scores, mask_bias), axis=-1)
    y = g.op("MatMul", f"{attention}.context", weights, parts["value"])
    y = g.op("Transpose", f"{attention}.merged", y, perm=[0, 2, 1, 3])
    y = g.op("Reshape", f"{attention}.joined", y, g.constant(f"{attention}.join", np.array([0, SEQUENCE, HIDDEN])))
    y = g.op("Add", f"{attention}.residual", _dense(g, f"{attention}.output", y, HIDDEN, HIDDEN), x)
    x = _layer_norm(g, f"{attention}.LayerNorm", y)
    y = _gelu(g, f"{name}.gelu", _dense(g, f"{name}.intermediate", x, HIDDEN, INTERMEDIATE))
    y = g.op("Add", f"{name}.residual", _dense(g, f"{name}.output", y, INTERMEDIATE, HIDDEN), x)
    return _layer_norm(g, f"{name}.LayerNorm", y)


def _mask_bias(g: Graph, mask: str) -> str:
    """0 where a token counts and -20 where it does not, [1, 1, 1, tokens].

    exp(-20) is nothing in a softmax; the usual -10000 would leave int8 scores two values.
    """
    counts = g.op("Cast", "mask.float", mask, to=TensorProto.FLOAT)
    absent = g.op("Sub", "mask.absent", g.constant("mask.one", np.float32(1)), counts)
    bias = g.op("Mul", "mask.bias", absent, g.constant("mask.lowest", np.float32(-20)))
    return g.op("Unsqueeze", "mask.broadcast", bias, g.constant("mask.axes", np.array([1, 2])))


def _dense(g: Graph, name: str, x: str, inputs: int, outputs: int) -> str:
    weight = g.constant(f"{name}.weight", _xavier(g, outputs, inputs).T)
    bias = g.constant(f"{name}.bias", g.normal(outputs, deviation=0.1))
    return g.op("Add", name, g.op("MatMul", f"{name}.matmul", x, weight), bias)


def _xavier(g: Graph, outputs: int, inputs: int) -> np.ndarray:
    return g.normal(outputs, inputs, deviation=1 / sqrt(inputs))


def _layer_norm(g: Graph, name: str, x: str) -> str:
    gamma = g.constant(f"{name}.weight", 1 + g.normal(HIDDEN, deviation=0.2))
    beta = g.constant(f"{name}.bias", g.normal(HIDDEN, deviation=0.1))
    return g.op("LayerNormalization", name, x, gamma, beta, axis=-1, epsilon=1e-12)


def _gelu(g: Graph, name: str, x: str) -> str:
    """``x / 2 * (1 + erf(x / sqrt(2)))`` (Hendrycks and Gimpel 2016, arXiv:1606.08415)."""
    root, one, half = (
        g.constant(f"{name}.{key}", np.float32(v)) for key, v in (("sqrt2", sqrt(2)), ("one", 1), ("half", 0.5))
    )
    erf = g.op("Erf", f"{name}.erf", g.op("Div", f"{name}.div", x, root))
    return g.op("Mul", name, g.op("Mul", f"{name}.mul", x, g.op("Add", f"{name}.add", erf, one)), half)
