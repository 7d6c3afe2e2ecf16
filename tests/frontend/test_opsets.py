"""Operators as older opsets have them, with attributes where there are inputs now: against ONNX Runtime."""

from __future__ import annotations

import pytest

from tests.frontend.runs import compare, model

# Opset, the shape of x, the shape of y, the node.
CASES = [
    (7, "2,3,8", "2,2,8", "Slice<axes=[1], starts=[0], ends=[2]>(x)"),
    (9, "2,3,8", "2,3,3", "Slice<axes=[2], starts=[-4], ends=[-1]>(x)"),
    (9, "2,3,8", "1,2,8", "Slice<starts=[0,1], ends=[1,3]>(x)"),
    (7, "2,3,8", "2,3,8", "Clip<min=-1.0, max=2.0>(x)"),
    (10, "2,3,8", "2,3,8", "Clip<max=2.0>(x)"),
    (7, "2,1,8", "2,8", "Squeeze<axes=[1]>(x)"),
    (7, "2,8", "2,1,8", "Unsqueeze<axes=[1]>(x)"),
    (7, "2,3,8", "2,3,12", "Pad<pads=[0,0,1,0,0,3], value=1.5>(x)"),
    (7, "1,2,3,4", "1,2,6,8", 'Upsample<mode="nearest", scales=[1.0,1.0,2.0,2.0]>(x)'),
    (7, "2,3,8", "2,3,1", "ReduceSum<axes=[2]>(x)"),
    (11, "2,3,8", "2,8", "ReduceMean<axes=[1], keepdims=0>(x)"),
    (7, "2,3,8", "2,3,8", "Softmax(x)"),
    (12, "2,3,8", "2,3,8", "LogSoftmax<axis=1>(x)"),
    (7, "2,3", "2,3", "Dropout<ratio=0.5>(x)"),
    (7, "1,3,8,8", "1,3,4,4", "MaxPool<kernel_shape=[3,3], strides=[2,2], pads=[1,1,1,1]>(x)"),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{node.partition('<')[0]}-{opset}" for opset, _, _, node in CASES])
def test_attributes(case: tuple[int, str, str, str]) -> None:
    opset, x, y, node = case
    compare(model(f"g (float[{x}] x) => (float[{y}] y) {{ y = {node} }}", opset=opset))


def test_several_outputs() -> None:
    compare(model("g (float[2,6] x) => (float[2,2] a, float[2,4] b) { a, b = Split<axis=1, split=[2,4]>(x) }", opset=7))
    compare(model("g (float[2,8] x) => (float[2,3] v, int64[2,3] i) { v, i = TopK<k=3>(x) }", opset=7))
