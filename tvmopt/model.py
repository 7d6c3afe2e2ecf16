"""The one value that travels through the compiler: a graph, what goes in and out of it, and its history."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import tvm


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of a model.

    Attributes
    ----------
    name       : the ONNX name.
    shape      : dimensions; a string is a symbolic dimension that is not bound yet.
    dtype      : numpy name ("float32", "int8", ...).
    scale      : quantization scale, when the tensor itself is quantized per tensor.
    zero_point : quantization zero point, likewise.
    """

    name: str
    shape: tuple[int | str, ...]
    dtype: str
    scale: float | None = None
    zero_point: int | None = None


@dataclass(frozen=True)
class PassRecord:
    """What one pass changed.

    before, after : counts by what was counted (regions, macs, weight_bytes, ...).
    notes         : by ONNX value, what was decided and why.
    """

    name: str
    before: dict[str, int]
    after: dict[str, int]
    notes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Model:
    """A Relax module with its named inputs and outputs.

    Attributes
    ----------
    mod     : IRModule whose function ``main`` takes the inputs in order and returns the outputs
              (one tensor, or a tuple of them).
    inputs  : specs, in the order of ``main``'s parameters.
    outputs : specs, in the order ``main`` returns them.
    source  : path of the ONNX file, or "<memory>".
    sha256  : digest of the ONNX file's bytes, external data included.
    memory  : the ONNX model's bytes where it came from memory, so that other runtimes can be given it.
    constants : values of the ONNX model's inputs that are none of this one, by name.
    history : what each pass changed, oldest first.
    float_reasons : ONNX value name -> why the op that computes it runs in float (filled by the passes).
    tuned         : records of the trials whose schedules its kernels have, as plain data (filled by lowering).
    host_reasons  : ONNX value name -> why the op that computes it is not the accelerator's (filled by ``partition``).
    """

    mod: tvm.ir.IRModule
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    source: str = "<memory>"
    sha256: str = ""
    memory: bytes | None = field(default=None, repr=False)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    history: tuple[PassRecord, ...] = ()
    float_reasons: dict[str, str] = field(default_factory=dict)
    host_reasons: dict[str, str] = field(default_factory=dict)
    tuned: tuple[dict[str, Any], ...] = ()

    def replace(self, **changes: Any) -> Model:
        """Return a copy with some attributes changed."""
        return replace(self, **changes)
