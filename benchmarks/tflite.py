"""The .tflite files that LiteRT is compared with: ``python -m benchmarks.tflite --tiny CHECKOUT --converter PYTHON``.

They go to build/tflite, under the names of the ONNX models they stand for. Those of MLPerf Tiny are copied from a
checkout of github.com/mlcommons/tiny. The others are made from our float models by onnx2tf and TensorFlow's quantizer
(int8, per channel, calibrated with the inputs that the ONNX models were), which have an environment of their own:

    python -m venv converter
    converter/bin/pip install onnx2tf==1.29.24 tensorflow==2.19.0 tf_keras==2.19.0 onnx==1.19.1 onnxruntime==1.23.0 \\
        onnx_graphsurgeon sng4onnx psutil ai-edge-litert

``TVMOPT_TFLITE=build/tflite python -m benchmarks.compare`` then finds them.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import onnx
from onnx import helper, numpy_helper

from tvmopt.errors import InputError

from . import data, models
from .command import Command, listed

FOLDER = data.ROOT / "build" / "tflite"
TINY = {
    "kws": "keyword_spotting/trained_models/kws_ref_model.tflite",
    "ic": "image_classification/trained_models/pretrainedResnet_quant.tflite",
    "vww": "visual_wake_words/trained_models/vww_96_int8.tflite",
    "ad": "anomaly_detection/trained_models/ad01_int8.tflite",
}
"""Under benchmark/training of a checkout."""

CONVERTED = ("mobilenet_v2", "resnet50", "bert_tiny")
VARIANT = "s8-qdq"
"""Which of our variants a .tflite file is: LiteRT's activations are int8."""


def copy(checkout: Path) -> None:
    """Copy the models of MLPerf Tiny. Raises InputError for a folder without them."""
    for name, path in TINY.items():
        source = checkout / "benchmark" / "training" / path
        if not source.is_file():
            raise InputError(
                f"there is no {path}", file=checkout, hint="a checkout of github.com/mlcommons/tiny has it"
            )
        shutil.copyfile(source, FOLDER / f"{models.MLPERF_TINY[name]}.tflite")


def convert(name: str, python: str) -> None:
    """Convert and quantize a model of ours. Raises InputError where ``python`` cannot."""
    samples = data.samples(name, models.CALIBRATION_SAMPLES, seed=2)
    script = Path(__file__).with_name("run_onnx2tf.py")
    with TemporaryDirectory() as folder:
        source, calibration, output = (Path(folder) / name for name in ("model.onnx", "samples.npz", "model.tflite"))
        onnx.save(padded_with_zeros(onnx.load(models.get(name))), source)
        np.savez(calibration, **{key: np.concatenate([sample[key] for sample in samples]) for key in samples[0]})
        command = [python, str(script), str(source), str(calibration), str(output)]
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
        if done.returncode:
            reason = done.stderr.strip().splitlines()[-1]
            raise InputError(f"{python} cannot convert {name}: {reason}", hint="see python -m benchmarks.tflite --help")
        shutil.copyfile(output, FOLDER / f"{name}-{VARIANT}.tflite")


def padded_with_zeros(model: onnx.ModelProto) -> onnx.ModelProto:
    """MaxPool<pads>(Relu(x)) -> MaxPool(Pad(Relu(x))): the same where nothing is below 0.

    TensorFlow has no such pads. onnx2tf would write them as the lowest float,
    of which the quantizer makes a scale of 1e36.
    """
    producers = {name: node.op_type for node in model.graph.node for name in node.output}
    for index, node in reversed(list(enumerate(model.graph.node))):
        pads = next((attribute for attribute in node.attribute if attribute.name == "pads"), None)
        if node.op_type == "MaxPool" and pads is not None and producers.get(node.input[0]) == "Relu":
            begins, ends = pads.ints[: len(pads.ints) // 2], pads.ints[len(pads.ints) // 2 :]
            name = f"{node.name}.pads"
            model.graph.initializer.append(numpy_helper.from_array(np.array([0, 0, *begins, 0, 0, *ends]), name))
            pad = helper.make_node("Pad", [node.input[0], name], [f"{node.name}.padded"])
            node.attribute.remove(pads)
            node.input[0] = pad.output[0]
            model.graph.node.insert(index, pad)
    return model


@click.command(cls=Command, help=__doc__)
@click.option("--tiny", type=click.Path(path_type=Path), help="A checkout of mlcommons/tiny.")
@click.option("--converter", help="A Python with onnx2tf and TensorFlow.")
@click.option("--models", "names", default=",".join(CONVERTED), callback=listed, help="What to convert.")
def main(tiny: Path | None, converter: str | None, names: list[str]) -> None:
    if tiny is None and converter is None:
        raise click.UsageError("nothing to do: give --tiny, --converter, or both")
    FOLDER.mkdir(parents=True, exist_ok=True)
    if tiny is not None:
        copy(tiny)
    for name in names if converter is not None else []:
        convert(name, str(converter))


if __name__ == "__main__":
    main()
