"""A file, bytes or a ModelProto -> a parsed ONNX model whose external data is known to be there."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import onnx
import onnx_ir as ir
from google.protobuf.message import DecodeError
from onnx import TensorProto

from ..errors import ModelError


@dataclass(frozen=True)
class Source:
    """A model as it was read.

    Attributes
    ----------
    proto  : the parsed model; external data is checked but not loaded.
    folder : where external data lies; None for a model that came from memory.
    sha256 : digest of the model's bytes, then of every external file's, by name.
    memory : the model's bytes, of one that came from memory.
    """

    proto: onnx.ModelProto
    folder: Path | None
    sha256: str
    memory: bytes | None


def read(source: str | PathLike[str] | bytes | onnx.ModelProto) -> Source:
    """Parse ``source`` and check that its tensors have all their bytes.

    Raises ModelError when the file cannot be read or parsed, has no graph, or when a tensor's data is too
    short, or is external and missing or outside the model's folder. External data is not loaded here and
    never passes through protobuf, so a model may exceed protobuf's 2 GB.
    """
    folder, proto = None, None
    if isinstance(source, onnx.ModelProto):
        data, proto = source.SerializeToString(deterministic=True), source
    elif isinstance(source, bytes):
        data = source
    else:
        data, folder = _bytes(Path(source)), Path(source).absolute().parent
    proto, digest = proto or _parse(data), hashlib.sha256(data)
    if not proto.HasField("graph"):
        raise ModelError("there is no graph in it; is this an ONNX file?")
    files: set[Path] = set()
    for tensor in tensors(proto.graph):
        if tensor.data_location == TensorProto.EXTERNAL:
            files.add(_external_file(tensor, folder))
        else:
            _check_data(tensor)
    for path in sorted(files):
        with path.open("rb") as file:
            while chunk := file.read(1 << 24):
                digest.update(chunk)
    return Source(proto, folder, digest.hexdigest(), data if folder is None else None)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ModelError(f"cannot be read: {error.strerror}") from None


def _parse(data: bytes) -> onnx.ModelProto:
    if not data:
        raise ModelError("the file is empty")
    try:
        return onnx.ModelProto.FromString(data)
    except DecodeError:
        reason = f"not an ONNX model: its {len(data)} bytes are no protobuf message, or end too early"
        raise ModelError(reason) from None


def _check_data(tensor: TensorProto) -> None:
    """Raise unless a tensor has as much data as its shape asks for, in the field for its type."""
    need = _nbytes(tensor)
    if tensor.HasField("raw_data"):
        have, unit = len(tensor.raw_data), "bytes"
    else:
        have, unit = len(getattr(tensor, onnx.helper.tensor_dtype_to_field(tensor.data_type))), "values"
        count = math.prod(tensor.dims)
        if tensor.data_type in (TensorProto.COMPLEX64, TensorProto.COMPLEX128):
            need = 2 * count
        else:
            need = count if _bits(tensor) >= 8 else need  # narrow values are packed, a byte in each value
    if have != need:
        raise ModelError(f"its shape needs {need} {unit}, its data has {have}", node=tensor.name)


def _external_file(tensor: TensorProto, folder: Path | None) -> Path:
    """The file that holds a tensor's data; it lies in ``folder`` and is long enough."""
    info = {entry.key: entry.value for entry in tensor.external_data}
    location = info.get("location", "")

    def error(reason: str) -> ModelError:
        return ModelError(reason, node=tensor.name)

    if folder is None:
        raise error(f"its data is in a file, '{location}', but the model came from memory")
    path = folder / location
    if not location or not path.resolve().is_relative_to(folder.resolve()):
        raise error(f"its external data '{location}' lies outside the model's folder")
    if not path.is_file():
        raise error(f"its external data '{location}' is missing")
    if path.stat().st_nlink > 1:  # onnx and onnx-ir refuse these too
        raise error(f"its external data '{location}' has several hard links, so it may be a file from elsewhere")
    try:
        begin, length = int(info.get("offset", 0)), int(info.get("length", 0))
    except ValueError:
        raise error("the offset or length of its external data is not an integer") from None
    need = _nbytes(tensor)
    if begin < 0 or length not in (0, need):
        raise error(f"its external data has offset {begin} and length {length}, but its shape needs {need} bytes")
    if begin + need > path.stat().st_size:
        raise error(f"its external data '{location}' is too short: {path.stat().st_size} of {begin + need} bytes")
    return path


def tensors(graph: onnx.GraphProto) -> Iterator[TensorProto]:
    """All tensors stored in a graph: initializers and attributes, subgraphs included."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors
            for subgraph in [attribute.g] if attribute.HasField("g") else attribute.graphs:
                yield from tensors(subgraph)


def _nbytes(tensor: TensorProto) -> int:
    """Bytes of a tensor's packed data (4-bit types: two elements a byte)."""
    if any(dim < 0 for dim in tensor.dims):
        raise ModelError(f"its shape {list(tensor.dims)} has a negative dimension", node=tensor.name)
    return -(-math.prod(tensor.dims) * _bits(tensor) // 8)


def _bits(tensor: TensorProto) -> int:
    if tensor.data_type == TensorProto.STRING:
        return 8  # of no meaning: strings are never raw or external
    try:
        return int(ir.DataType(tensor.data_type).bitwidth)
    except (TypeError, ValueError):
        raise ModelError(f"ONNX has no tensors of data type {tensor.data_type}", node=tensor.name) from None
