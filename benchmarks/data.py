"""Inputs for the benchmark models: labelled sets where there are some, else what looks enough like the real thing."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from tvmopt.errors import InputError

ROOT = Path(__file__).resolve().parents[1]
VOCABULARY = 30522
SEQUENCE = 128
LABELLED = {"vww": "vww_400.npz", "ic": "cifar10_250.npz"}


def samples(name: str, count: int, seed: int = 0) -> list[dict[str, np.ndarray]]:
    """``count`` inputs of batch 1 for the model of that name (any variant), each by input name."""
    architecture = name.split("-")[0]
    if architecture in LABELLED:
        batch = {"input_1": labelled(architecture)[0]}
        order = np.random.default_rng(seed).permutation(len(batch["input_1"]))[:count]
        batch = {key: value[order] for key, value in batch.items()}
    elif architecture == "kws":  # MFCC, in the range that the model's quantizer covers
        batch = {"input_1": np.random.default_rng(seed).uniform(-127.9, 121.1, (count, 490)).astype(np.float32)}
    elif architecture == "ad":  # log-mel energies, likewise
        batch = {"input_1": np.random.default_rng(seed).uniform(-74.3, 6.7, (count, 640)).astype(np.float32)}
    elif architecture == "bert_tiny":
        batch = tokens(count, seed)
    else:
        batch = {"input": images(count, seed)}
    return [{key: value[i : i + 1] for key, value in batch.items()} for i in range(count)]


def labelled(name: str) -> tuple[np.ndarray, np.ndarray]:
    """Inputs float32 [N, ...] as "vww" or "ic" takes them, and their labels int64 [N]."""
    with np.load(labelled_file(name)) as data:
        images, labels = data["images"].astype(np.float32), data["labels"]
    return (images / np.float32(255) if name == "vww" else images), labels


def labelled_file(name: str) -> Path:
    """The .npz of "vww" or "ic": ``images`` uint8, ``labels``."""
    return shared() / "data" / LABELLED[name]


def shared() -> Path:
    """Folder of third-party models and data: $TVMOPT_SHARED, else ``shared`` beside the checkout."""
    path = Path(os.environ.get("TVMOPT_SHARED", ROOT.parent / "shared"))
    if not (path / "models" / "mlperf-tiny").is_dir():
        raise InputError(
            "the MLPerf Tiny models are not there", file=path, hint="set TVMOPT_SHARED to the folder that holds models/"
        )
    return path


def images(count: int, seed: int = 0, size: int = 224) -> np.ndarray:
    """Random images, float32 [count, 3, size, size], mean 0 and deviation 1 over the set.

    Their amplitude falls with 1 / frequency, as natural images' does (Field 1987, doi:10.1364/JOSAA.4.002379),
    and brightness, contrast and colour differ from one to the next, so that a network tells them apart.
    """
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = np.inf
    noise = rng.standard_normal((count, 3, *frequency.shape)) + 1j * rng.standard_normal((count, 3, *frequency.shape))
    texture = np.fft.irfft2(noise / frequency, (size, size))
    texture /= texture.std(axis=(1, 2, 3), keepdims=True)
    mix = rng.normal(0.0, 0.5, (count, 3, 3)) + np.eye(3)
    contrast = rng.uniform(0.3, 1.0, (count, 1, 1, 1))
    brightness = rng.normal(0.0, 0.5, (count, 3, 1, 1))
    mixed = np.einsum("nij,njhw->nihw", mix, texture) * contrast + brightness
    return ((mixed - mixed.mean()) / mixed.std()).astype(np.float32)


def tokens(count: int, seed: int = 0) -> dict[str, np.ndarray]:
    """Random sentences of 16 to 128 tokens for BERT: input_ids, attention_mask, token_type_ids, int64 [count, 128]."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(16, SEQUENCE + 1, (count, 1))
    mask = np.arange(SEQUENCE) < lengths
    second = np.arange(SEQUENCE) >= lengths // 2
    return {
        "input_ids": rng.integers(0, VOCABULARY, (count, SEQUENCE)) * mask,
        "attention_mask": mask.astype(np.int64),
        "token_type_ids": (mask & second).astype(np.int64),
    }
