"""Float or QDQ ONNX -> ONNX with zeros that compiling can use, and in int8: for those who have no such model.

Weights are pruned by magnitude, in one shot: nothing is trained, so accuracy falls with the share of zeros.
Quantization is ONNX Runtime's.
"""

from __future__ import annotations

from .config import Prune, Quantize
from .result import Compression

__all__ = ["Compression", "Prune", "Quantize"]
