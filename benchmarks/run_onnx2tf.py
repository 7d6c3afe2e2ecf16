"""A float ONNX model as an int8 .tflite file: run by a Python that has onnx2tf and TensorFlow (see tflite.py).

``python run_onnx2tf.py MODEL.onnx CALIBRATION.npz OUTPUT.tflite``, in an empty folder. The calibration has inputs by
name, [samples, ...]. Images become channels-last, as TensorFlow has them; inputs and outputs stay float.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx2tf
import tensorflow as tf

PROBE = "calibration_image_sample_data_20x128x128x3_float32.npy"
"""Images that onnx2tf compares results with, which it would download if they were not there."""


def main(model: str, calibration: str, output: str) -> None:
    """Convert ``model`` and quantize it with the inputs in ``calibration``."""
    np.save(PROBE, np.random.default_rng(0).random((20, 128, 128, 3), dtype=np.float32))
    onnx2tf.convert(
        input_onnx_file_path=model,
        output_folder_path="saved",
        output_signaturedefs=True,
        not_use_onnxsim=True,
        non_verbose=True,
        replace_to_pseudo_operators=["erf"],  # TFLite has none
    )
    _, inputs = tf.saved_model.load("saved").signatures["serving_default"].structured_input_signature
    samples = np.load(calibration)

    def feeds() -> Iterator[dict[str, np.ndarray]]:
        for index in range(len(samples[samples.files[0]])):
            sample = {name: samples[name][index : index + 1] for name in inputs}
            yield {
                name: np.moveaxis(x, 1, -1) if x.ndim == 4 else x.astype(inputs[name].dtype.as_numpy_dtype)
                for name, x in sample.items()
            }

    converter = tf.lite.TFLiteConverter.from_saved_model("saved")
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = feeds
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
    Path(output).write_bytes(converter.convert())


if __name__ == "__main__":
    main(*sys.argv[1:])
