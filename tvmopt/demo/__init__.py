"""The bundled model in two forms, int8 and float, and held-out data for it (README.md here: where they come from)."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent
INT8_MODEL = FOLDER / "digits_int8.onnx"
FLOAT_MODEL = FOLDER / "digits_float.onnx"
HELD_OUT = FOLDER / "digits_held_out.npz"
RECORD = FOLDER / "digits.json"
