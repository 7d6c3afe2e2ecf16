"""The models that comparisons and end-to-end tests use, built on first use and cached under build/models.

A name is ``<architecture>[-<pruning>]-<variant>``: "mobilenet_v2-u8-qdq", "resnet50-channels@80-s8-qdq",
"bert_tiny-dynamic"; an architecture alone ("resnet50") is the float model. "kws", "ic", "vww" and "ad" are the MLPerf
Tiny reference models, which are not built but found under TVMOPT_SHARED.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import os
from pathlib import Path

import onnx
import onnxruntime

from tvmopt.errors import InputError

from .. import data
from .normalize import normalize
from .prune import PATTERNS, prune
from .quantize import STATIC, quantize

MLPERF_TINY = {
    "kws": "kws_dscnn_int8_qdq",
    "ic": "ic_resnet8_int8_qdq",
    "vww": "vww_mobilenetv1_int8_qdq",
    "ad": "ad_autoencoder_int8_qdq",
}
VARIANTS = {
    "mobilenet_v2": STATIC,
    "resnet50": STATIC,
    "efficientnet_lite0": STATIC,
    "bert_tiny": (*STATIC, "dynamic"),
}
BATCH_NORM_SAMPLES = 16
CALIBRATION_SAMPLES = 4


def names() -> list[str]:
    """Every name that ``get`` knows."""
    built = [
        "-".join(filter(None, (architecture, pattern, variant)))
        for architecture, variants in VARIANTS.items()
        for pattern in ("", *PATTERNS)
        for variant in ("", *variants)
    ]
    return [*MLPERF_TINY, *built]


def get(name: str) -> Path:
    """Path of a model by name; builds it where the cache has no copy.

    Raises InputError for an unknown name, or an MLPerf Tiny model that is not there, DependencyError where a
    model's weights are not installed.
    """
    if name in MLPERF_TINY:
        return data.shared() / "models" / "mlperf-tiny" / f"{MLPERF_TINY[name]}.onnx"
    if name not in names():
        raise InputError(f"unknown benchmark model '{name}'", hint=f"one of {', '.join(names())}")
    path = data.ROOT / "build" / "models" / _recipe() / f"{name}.onnx"
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(f".{os.getpid()}.part")
        onnx.save(build(name), partial)
        partial.replace(path)  # at once: several test processes may build the same model
    return path


def build(name: str) -> onnx.ModelProto:
    """Build the model of that name; the same bytes every time on one machine."""
    architecture, *rest = name.split("-")
    pattern = rest.pop(0) if rest and rest[0] in PATTERNS else None
    module = importlib.import_module(f"{__name__}.{architecture}")
    model: onnx.ModelProto = module.build()
    if pattern:
        model = prune(model, pattern)
    if architecture in ("mobilenet_v2", "resnet50"):
        model = normalize(model, data.images(BATCH_NORM_SAMPLES, seed=1))
    if rest:
        model = quantize(model, "-".join(rest), data.samples(architecture, CALIBRATION_SAMPLES, seed=2))
    return model


@functools.cache
def _recipe() -> str:
    """What a cached model depends on: the sources that make it and the quantizer's version."""
    digest = hashlib.sha256(onnxruntime.__version__.encode())
    for source in (Path(data.__file__), *sorted(Path(__file__).parent.glob("*.py"))):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:12]
