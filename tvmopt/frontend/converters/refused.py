"""What TVM converts, but not to what ONNX means: refused rather than wrong. Found by ONNX's conformance suite."""

from __future__ import annotations

from collections.abc import Callable

import onnx_ir as ir

from .. import binding

# Sequences and optionals: TVM has them as tuples, whose operators go wrong for some positions.
_NO_TENSORS = {
    "ConcatFromSequence", "Optional", "OptionalGetElement", "OptionalHasElement", "SequenceAt", "SequenceConstruct",
    "SequenceEmpty", "SequenceErase", "SequenceInsert", "SequenceLength", "SequenceMap", "SplitToSequence",
}  # fmt: skip


def why_refused(node: ir.Node) -> str | None:
    """The reason not to convert ``node``, or None."""
    if node.op_type in _NO_TENSORS:
        return f"{node.op_type} works on sequences or optionals, which are not supported"
    for value in (*node.inputs, *node.outputs):
        if value is not None and value.dtype is not None and not _is_supported(value.dtype):
            return f"{node.op_type} works on {value.dtype.name.lower()} tensors, which are not supported"
    check = _CHECKS.get(node.op_type)
    return None if check is None else check(node)


def _is_supported(dtype: ir.DataType) -> bool:
    if dtype.is_integer() or dtype == ir.DataType.BOOL:
        return True
    return dtype in (ir.DataType.FLOAT, ir.DataType.DOUBLE, ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def _batch_normalization(node: ir.Node) -> str | None:
    return _training(node, node.attributes.get_int("training_mode", 0) != 0)


def _dropout(node: ir.Node) -> str | None:
    return _training(node, True)  # what is off at inference has been removed


def _training(node: ir.Node, on: bool) -> str | None:
    return f"{node.op_type} in training mode is not supported" if on else None


def _if(node: ir.Node) -> str | None:
    condition = node.inputs[0]
    hint = "" if condition is None else f" ({binding.constant_hint(condition)})"
    return f"If, whose branches differ in shape or have no known one, is not supported{hint}"


def _cast(node: ir.Node) -> str | None:
    dtype = node.outputs[0].dtype
    if dtype is not None and dtype.is_integer() and dtype.bitwidth < 8:
        return f"{node.op_type} to {dtype.name.lower()} is not supported"
    return None


def _non_max_suppression(node: ir.Node) -> str | None:
    return "NonMaxSuppression, whose number of outputs depends on the data, is not supported"


def _recurrent(node: ir.Node) -> str | None:
    """Steps are known when the model is compiled, so every sequence of a batch has all of them."""
    x, weights = node.inputs[0], node.inputs[1:3]
    if x is None or x.shape is None or not x.shape.is_static():
        return f"{node.op_type} of a sequence whose shape is unknown is not supported"
    if len(x.shape) != 3 or 0 in x.shape:
        return f"{node.op_type} of an input of shape {tuple(x.shape.numpy())} is not supported"
    lengths = node.inputs[4] if len(node.inputs) > 4 else None
    if lengths is not None:
        steps = x.shape[node.attributes.get_int("layout", 0)]
        if lengths.const_value is None:
            reason = f"{node.op_type} of sequences whose lengths are computed is not supported"
            return f"{reason} ({binding.constant_hint(lengths)})"
        if (lengths.const_value.numpy() != steps).any():
            return f"{node.op_type} whose sequence_lens are not all {steps}, as its input has it, is not supported"
    if node.domain and any(value is None or value.const_value is None for value in (*weights, *node.inputs[8:])):
        return f"{node.op_type} with a weight that is computed is not supported"
    return None


def _roi_align(node: ir.Node) -> str | None:
    return "RoiAlign with mode 'max' is not supported" if node.attributes.get_string("mode", "avg") == "max" else None


def _top_k(node: ir.Node) -> str | None:
    dtype = node.inputs[0].dtype if node.inputs[0] is not None else None
    return "TopK of uint64 is not supported" if dtype == ir.DataType.UINT64 else None


_CHECKS: dict[str, Callable[[ir.Node], str | None]] = {
    "BatchNormalization": _batch_normalization,
    "Cast": _cast,
    "CastLike": _cast,
    "Dropout": _dropout,
    "DynamicQuantizeLSTM": _recurrent,
    "GRU": _recurrent,
    "If": _if,
    "LSTM": _recurrent,
    "NonMaxSuppression": _non_max_suppression,
    "RNN": _recurrent,
    "RoiAlign": _roi_align,
    "TopK": _top_k,
}
