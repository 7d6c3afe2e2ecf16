"""What ``tvmopt compress`` tells."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Compression:
    """What compressing a model did; also the keys of ``--json``.

    Attributes
    ----------
    model, output        : paths of the model and of what was made of it.
    prune, quantize      : what was asked for ("channels:0.5", "int8"), or None.
    layers               : convolutions and matrix products with constant weights, before;
    pruned_layers        : those that pruning changed.
    weights              : elements of the weights of all layers;
    zero_weights_before  : those that are zero (equal to their zero point), and
    zero_weights_after   : the same in the result, where quantization may have rounded more to zero.
    bytes_before, bytes_after       : of the ONNX files, external data included. Zeros are stored like other numbers.
    macs, macs_after_folding        : of the result, see ``tvmopt inspect``.
    accuracy_before, accuracy_after : share of rows whose largest value is at the label, as ONNX Runtime computes
                                      them, without any fine-tuning; None without labelled data, or where
                                      the first output has no rows.
    data                 : where the labelled data comes from, or None.
    """

    model: str
    output: str
    prune: str | None
    quantize: str | None
    layers: int
    pruned_layers: int
    weights: int
    zero_weights_before: int
    zero_weights_after: int
    bytes_before: int
    bytes_after: int
    macs: int
    macs_after_folding: int
    accuracy_before: float | None
    accuracy_after: float | None
    data: str | None
