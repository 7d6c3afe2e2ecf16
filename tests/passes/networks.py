"""Random quantized networks: small ones, or with channels for several vectors."""

from __future__ import annotations

import numpy as np
import onnx
from hypothesis import strategies as st

from tests.lowering.strategies import dtypes, weights
from tvmopt.quant.params import QParams

from .qdq import Qdq

# Ops that ONNX Runtime computes exactly as the integer reference does, given quantized inputs and outputs.
EXACT = (
    "conv", "depthwise", "gemm", "matmul", "add", "mul", "concat", "maxpool", "gap", "activation", "transpose",
    "reshape", "pad", "slice", "split", "resize", "relu-conv", "gather",
)  # fmt: skip


class Network:
    """Grows a graph op by op; every tensor is [1, C, H, W] and quantized."""

    def __init__(self, draw: st.DrawFn, dtype: str, dead: bool = False, wide: bool = False) -> None:
        self.draw = draw
        self.dtype = dtype
        self.dead = dead
        self.channels = st.sampled_from([1, 3, 8, 12, 16, 17, 24, 32, 40, 64]) if wide else st.integers(1, 6)
        self.g = Qdq()
        self.tensors: list[tuple[str, tuple[int, ...], QParams]] = []
        shape = (1, draw(st.integers(1, 5)), draw(st.integers(3, 9)), draw(st.integers(3, 9)))
        params = self.params(0.05)
        self.input_shape = shape
        self.tensors.append((self.g.input(shape, params), shape, params))

    def params(self, scale: float) -> QParams:
        low = np.iinfo(self.dtype).min
        factor = self.draw(st.floats(0.5, 2, width=32))
        return QParams.per_tensor(scale * factor, low + self.draw(st.integers(0, 255)), self.dtype)

    def push(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        self.tensors.append((self.g.fake(value, params), shape, params))

    def grow(self, kind: str) -> None:
        value, shape, params = self.draw(st.sampled_from(self.tensors[-3:]))
        getattr(self, "_" + kind.replace("-", "_"))(value, shape, params)

    def _weighted(self, params: QParams, wshape: tuple[int, ...], axis: int, outputs: int, terms: int) -> tuple:
        array, w = self.draw(weights(wshape, axis))
        if self.dtype == "int8" and w.dtype == np.uint8:  # not in ONNX Runtime
            array, w = (array.astype(np.int16) - 128).astype(np.int8), w.shifted()
        if self.dead:
            array = self._with_dead_channels(array, w, axis)
        inputs = [self.g.weight(array, w)]
        if self.draw(st.booleans()):
            bias = np.random.default_rng(self.draw(st.integers(0, 99))).integers(-9000, 9000, outputs).astype(np.int32)
            inputs.append(self.g.bias(bias, params, w))
        scale = float(params.scale) * float(w.scale.mean()) * 60 * terms**0.5
        return inputs, self.params(scale)

    def _with_dead_channels(self, array: np.ndarray, w: QParams, axis: int) -> np.ndarray:
        """Some output channels, and some inputs, of the weight equal to its zero point."""
        rng = np.random.default_rng(self.draw(st.integers(0, 2**16)))
        kept = np.ones(array.shape, bool)
        np.moveaxis(kept, axis, 0)[rng.random(array.shape[axis]) < self.draw(st.sampled_from([0, 0.5, 0.9, 1]))] = False
        if array.shape[1 - axis] > 1:
            np.moveaxis(kept, 1 - axis, 0)[rng.random(array.shape[1 - axis]) < 0.2] = False
        return np.where(kept, array, w.along(array.ndim)[1]).astype(array.dtype)

    def _conv(
        self, value: str, shape: tuple[int, ...], params: QParams, depthwise: bool = False, relu: bool = False
    ) -> None:
        draw = self.draw
        channels = shape[1]
        outputs = channels if depthwise else draw(self.channels)
        kernel = [draw(st.integers(1, min(3, size))) for size in shape[2:]]
        pads = [draw(st.integers(0, k - 1)) for k in kernel * 2]
        strides = [draw(st.integers(1, 2)) for _ in kernel]
        per_group = 1 if depthwise else channels
        inputs, y = self._weighted(params, (outputs, per_group, *kernel), 0, outputs, per_group * kernel[0] * kernel[1])
        out = self.g.node("Conv", value, *inputs, pads=pads, strides=strides, group=channels if depthwise else 1)
        size = [(s + pads[i] + pads[i + 2] - kernel[i]) // strides[i] + 1 for i, s in enumerate(shape[2:])]
        if relu:
            out = self.g.node("Relu", out)
            y = QParams(y.scale, np.asarray(np.iinfo(self.dtype).min, self.dtype))
        self.push(out, (1, outputs, *size), y)

    def _depthwise(self, *tensor) -> None:
        self._conv(*tensor, depthwise=True)

    def _relu_conv(self, *tensor) -> None:
        self._conv(*tensor, relu=True)

    def _grouped(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        groups = self.draw(st.sampled_from([n for n in range(1, shape[1] + 1) if shape[1] % n == 0]))
        per_group = shape[1] // groups
        outputs = groups * self.draw(st.integers(1, 3))
        inputs, y = self._weighted(params, (outputs, per_group, 1, 1), 0, outputs, per_group)
        self.push(self.g.node("Conv", value, *inputs, group=groups), (1, outputs, *shape[2:]), y)

    def _transposed(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        outputs = self.draw(self.channels)
        inputs, y = self._weighted(params, (shape[1], outputs, 2, 2), 1, outputs, shape[1])
        out = self.g.node("ConvTranspose", value, *inputs, strides=[2, 2])
        self.push(out, (1, outputs, 2 * shape[2], 2 * shape[3]), y)

    def _gemm(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        n, k = self.draw(st.integers(1, 6)), int(np.prod(shape))
        inputs, y = self._weighted(params, (n, k), 0, n, k)
        flat = self.g.fake(self.g.node("Flatten", value), params)
        out = self.g.fake(self.g.node("Gemm", flat, *inputs, transB=1), y)
        self.push(self.g.node("Reshape", out, self.g.constant(np.array([1, n, 1, 1]))), (1, n, 1, 1), y)

    def _matmul(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        y = self.params(float(params.scale) ** 2 * 60 * shape[3] ** 0.5)
        turned = self.g.fake(self.g.node("Transpose", value, perm=[0, 1, 3, 2]), params)
        self.push(self.g.node("MatMul", value, turned), (*shape[:3], shape[2]), y)

    def _partner(self, shape: tuple[int, ...]) -> tuple[str, tuple[int, ...], QParams]:
        return self.draw(st.sampled_from([t for t in self.tensors if t[1] == shape]))

    def _add(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        other, _, p = self._partner(shape)
        self.push(self.g.node("Add", value, other), shape, self.params(float(params.scale + p.scale)))

    def _mul(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        other, _, p = self._partner(shape)
        self.push(self.g.node("Mul", value, other), shape, self.params(float(params.scale * p.scale) * 90))

    def _concat(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        other, _, p = self._partner(shape)
        y = params if self.draw(st.booleans()) else self.params(float(max(params.scale, p.scale)))
        self.push(self.g.node("Concat", value, other, axis=1), (1, 2 * shape[1], *shape[2:]), y)

    def _maxpool(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        kernel = [min(2, size) for size in shape[2:]]
        size = [s - k + 1 for s, k in zip(shape[2:], kernel, strict=True)]
        self.push(self.g.node("MaxPool", value, kernel_shape=kernel), (*shape[:2], *size), params)

    def _gap(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        self.push(self.g.node("GlobalAveragePool", value), (*shape[:2], 1, 1), self.params(float(params.scale) * 0.5))

    def _averagepool(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        kernel = [min(2, size) for size in shape[2:]]
        out = self.g.node("AveragePool", value, kernel_shape=kernel, pads=[k - 1 for k in kernel * 2])
        size = [s + k - 1 for s, k in zip(shape[2:], kernel, strict=True)]
        self.push(out, (*shape[:2], *size), self.params(float(params.scale)))

    def _activation(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        op = self.draw(st.sampled_from(["LeakyRelu", "Sigmoid", "HardSwish", "Relu"]))
        attrs = {"alpha": 0.1} if op == "LeakyRelu" else {}
        scale = 1 / 255 if op == "Sigmoid" else float(params.scale)
        self.push(self.g.node(op, value, **attrs), shape, self.params(scale))

    def _transpose(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        self.push(self.g.node("Transpose", value, perm=[0, 1, 3, 2]), (*shape[:2], shape[3], shape[2]), params)

    def _reshape(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        to = (1, shape[1], shape[2] * shape[3], 1)
        self.push(self.g.node("Reshape", value, self.g.constant(np.array(to))), to, params)

    def _shuffle(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        groups = self.draw(st.sampled_from([n for n in range(1, shape[1] + 1) if shape[1] % n == 0]))
        apart = np.array([1, groups, shape[1] // groups, *shape[2:]])
        x = self.g.node("Transpose", self.g.node("Reshape", value, self.g.constant(apart)), perm=[0, 2, 1, 3, 4])
        self.push(self.g.node("Reshape", x, self.g.constant(np.array(shape))), shape, params)

    def _pad(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        out = self.g.node("Pad", value, self.g.constant(np.array([0, 0, 1, 0, 0, 0, 0, 2])))
        self.push(out, (*shape[:2], shape[2] + 1, shape[3] + 2), params)

    def _slice(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        arrays = (np.array([0]), np.array([max(1, shape[2] - 1)]), np.array([2]))
        out = self.g.node("Slice", value, *(self.g.constant(array) for array in arrays))
        self.push(out, (*shape[:2], max(1, shape[2] - 1), shape[3]), params)

    def _split(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        if shape[1] < 2:
            return
        sizes = np.array([1, shape[1] - 1])
        first = self.g.node("Split", value, self.g.constant(sizes), outputs=2, axis=1)
        for part, size in zip((first, first[:-1] + "1"), sizes, strict=True):
            self.push(part, (1, int(size), *shape[2:]), params)

    def _resize(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        scales = self.g.constant(np.array([1, 1, 2, 2], np.float32))
        mode = {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
        out = self.g.node("Resize", value, "", scales, **mode)
        self.push(out, (*shape[:2], 2 * shape[2], 2 * shape[3]), params)

    def _gather(self, value: str, shape: tuple[int, ...], params: QParams) -> None:
        index = np.random.default_rng(0).integers(0, shape[1], 3)
        self.push(self.g.node("Gather", value, self.g.constant(index), axis=1), (1, 3, *shape[2:]), params)


@st.composite
def networks(
    draw: st.DrawFn, kinds: tuple[str, ...] = EXACT, most: int = 8, dead: bool = False, wide: bool = False
) -> tuple[onnx.ModelProto, np.ndarray]:
    """A model with one to ``most`` ops, with dead channels or not, many channels or few, and an input for it."""
    net = Network(draw, draw(dtypes), dead, wide)
    for _ in range(draw(st.integers(1, most))):
        net.grow(draw(st.sampled_from(kinds)))
    used = {name for node in net.g.nodes for name in node.input}
    outputs = [name for name, _, _ in net.tensors if name not in used]
    rng = np.random.default_rng(draw(st.integers(0, 2**16)))
    return net.g.model(*outputs), rng.normal(0, 5, net.input_shape).astype(np.float32)
