"""Reading files: what is no model, and external data."""

import hashlib
import os
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import numpy_helper

from tests.frontend.runs import by_onnxruntime, by_tvm, model
from tvmopt import frontend
from tvmopt.errors import ModelError

PROTO = model("g (float[4] x) => (float[4] y) { y = Add(x, w) }", {"w": np.arange(4, dtype=np.float32)})
BYTES = PROTO.SerializeToString()


def external(folder: Path, **info: str) -> Path:
    """A model whose weight is in weights.bin, after 8 bytes of something else."""
    proto = onnx.ModelProto.FromString(BYTES)
    (tensor,) = proto.graph.initializer
    (folder / "weights.bin").write_bytes(bytes(8) + tensor.raw_data)
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    for key, value in ({"location": "weights.bin", "offset": "8", "length": "16"} | info).items():
        tensor.external_data.add(key=key, value=value)
    path = folder / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    return path


def refusal(source) -> str:
    with pytest.raises(ModelError) as caught:
        frontend.load(source)
    return str(caught.value)


def test_path_bytes_and_proto_are_the_same_model(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(BYTES)
    loaded = [frontend.load(source) for source in (path, str(path), BYTES, PROTO)]
    assert {one.sha256 for one in loaded} == {hashlib.sha256(BYTES).hexdigest()}
    assert [one.source for one in loaded] == [str(path), str(path), "<memory>", "<memory>"]


def test_missing_file(tmp_path):
    path = tmp_path / "none.onnx"
    assert refusal(path) == f"{path}: cannot be read: No such file or directory"


@pytest.mark.parametrize("data", [b"", b"hello", b"PK\x03\x04" + bytes(100), bytes(1000)])
def test_not_a_model(tmp_path, data):
    path = tmp_path / "model.onnx"
    path.write_bytes(data)
    assert refusal(path).startswith(f"{path}: ")


# A model that ends after its first opset would be another valid model.
ONE_OPSET = onnx.parser.parse_model(
    '<ir_version: 8, opset_import: ["": 13]> g (float[4] x) => (float[4] y) { y = Abs(x) }'
)
ONE_OPSET = ONE_OPSET.SerializeToString()


@given(st.integers(0, len(ONE_OPSET) - 1))
@settings(max_examples=40, deadline=None)
def test_truncated(length):
    refusal(ONE_OPSET[:length])


def test_tensor_shorter_than_its_shape():
    proto = onnx.ModelProto.FromString(BYTES)
    proto.graph.initializer[0].raw_data = bytes(15)
    assert refusal(proto) == "<memory>: node 'w': its shape needs 16 bytes, its data has 15"


def test_external_data(tmp_path):
    path = external(tmp_path)
    loaded = frontend.load(path)
    x = np.ones(4, np.float32)
    np.testing.assert_array_equal(by_tvm(loaded, {"x": x})[0], by_onnxruntime(PROTO, {"x": x})[0])
    digest = hashlib.sha256(path.read_bytes() + (tmp_path / "weights.bin").read_bytes())
    assert loaded.sha256 == digest.hexdigest()


def test_external_data_too_short(tmp_path):
    path = external(tmp_path)
    with (tmp_path / "weights.bin").open("r+b") as file:
        file.truncate(23)
    assert refusal(path) == f"{path}: node 'w': its external data 'weights.bin' is too short: 23 of 24 bytes"


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        ({"location": "../weights.bin"}, "lies outside the model's folder"),
        ({"location": "/etc/passwd"}, "lies outside the model's folder"),
        ({"location": ""}, "lies outside the model's folder"),
        ({"location": "none.bin"}, "is missing"),
        ({"offset": "-8"}, "offset -8"),
        ({"offset": "eight"}, "not an integer"),
        ({"length": "12"}, "length 12, but its shape needs 16 bytes"),
    ],
)
def test_external_data_that_is_wrong(tmp_path, info, reason):
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "weights.bin").write_bytes(bytes(100))
    message = refusal(external(folder, **info))
    assert message.startswith(f"{folder / 'model.onnx'}: node 'w': ")
    assert reason in message


def test_external_data_behind_a_link_that_leaves_the_folder(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    path = external(folder)
    (folder / "weights.bin").rename(tmp_path / "weights.bin")
    (folder / "weights.bin").symlink_to(tmp_path / "weights.bin")
    assert "lies outside the model's folder" in refusal(path)


def test_external_data_with_several_hard_links(tmp_path):
    path = external(tmp_path)
    os.link(tmp_path / "weights.bin", tmp_path / "again.bin")
    assert "several hard links" in refusal(path)


def test_external_data_of_a_model_from_memory(tmp_path):
    assert "came from memory" in refusal(external(tmp_path).read_bytes())


def test_external_data_of_four_bits(tmp_path):
    weight = np.arange(-4, 3, dtype=np.int8)
    proto = model(
        "g (float[7] x) => (float[7] y) <float s = {0.5}> { d = DequantizeLinear(w, s) y = Add(x, d) }", opset=21
    )
    tensor = onnx.helper.make_tensor("w", onnx.TensorProto.INT4, [7], weight)
    packed = tensor.raw_data or numpy_helper.tobytes_little_endian(np.asarray(tensor.int32_data, np.uint8))
    (tmp_path / "weights.bin").write_bytes(packed)
    tensor.ClearField("int32_data")
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="weights.bin")
    proto.graph.initializer.append(tensor)
    path = tmp_path / "model.onnx"
    path.write_bytes(proto.SerializeToString())
    (y,) = by_tvm(frontend.load(path), {"x": np.zeros(7, np.float32)})
    np.testing.assert_array_equal(y, weight * np.float32(0.5))
