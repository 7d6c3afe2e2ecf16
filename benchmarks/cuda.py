"""Artifacts for NVIDIA GPUs: what building takes, which needs no GPU, and what they run in, where there is one."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

import tvmopt
from tvmopt.cli import options, terminal
from tvmopt.runtime import Artifact, cuda, vm

from . import models
from .command import Command, listed

MODELS = ["kws", "ic", "vww", "mobilenet_v2-u8-qdq", "resnet50-s8-qdq", "bert_tiny-u8-qdq"]
TARGETS = ["cuda/sm_80", "cuda/sm_90"]
INSTRUCTIONS = {
    "mma.sync": r"\bmma\.sync",
    "mma.sync u8 x u8": r"\bmma\.sync[\w.]*\.u8\.u8\.",
    "mma.sp": r"\bmma\.sp",
    "dp4a": r"\bdp4a\.u32\.s32",
    "cp.async": r"\bcp\.async\.cg",
}
"""What kernels for int8 should have, by name, as PTX spells it; products of two activations are u8 x u8."""


@dataclass(frozen=True)
class Row:
    """A model for a target.

    Attributes
    ----------
    seconds      : from the ONNX file to the artifact.
    cubin_bytes  : of machine code.
    kernels      : how many there are, and
    instructions : how many of them have each of ``INSTRUCTIONS``.
    registers, shared_bytes, spilled_bytes : the most that any kernel takes.
    median_us    : of one inference with inputs and outputs on the GPU; None without one.
    """

    model: str
    target: str
    seconds: float
    cubin_bytes: int
    kernels: int
    instructions: dict[str, int]
    registers: int
    shared_bytes: int
    spilled_bytes: int
    median_us: float | None


@dataclass(frozen=True)
class Report:
    """What is printed as JSON."""

    rows: list[Row]


def measure(name: str, target: str, build_only: bool) -> Row:
    """Compile a benchmark model, and time it unless ``build_only``."""
    path = models.get(name)
    begin = time.perf_counter()
    artifact = tvmopt.compile(path, target)
    seconds = time.perf_counter() - begin
    manifest = vm.read_manifest(artifact.path)
    assert manifest is not None
    usage = manifest["cuda"]["kernels"].values()
    bodies = _ptx(artifact.path, manifest).split(".visible .entry")[1:]
    return Row(
        name,
        target,
        seconds,
        next(image["size"] for image in manifest["cuda"]["images"] if image["format"] == "cubin"),
        len(bodies),
        {name: sum(bool(re.search(text, body)) for body in bodies) for name, text in INSTRUCTIONS.items()},
        *(max(kernel[key] for kernel in usage) for key in ("registers", "shared", "spilled")),
        None if build_only else _time(artifact),
    )


def _ptx(path: Path, manifest: dict) -> str:
    image = next(image for image in manifest["cuda"]["images"] if image["format"] == "ptx")
    return path.read_bytes()[image["offset"] :][: image["size"]].decode().rstrip("\0")


def _time(artifact: Artifact) -> float:
    engine = artifact.engine
    assert isinstance(engine, cuda.Executable)
    rng = np.random.default_rng(0)
    feeds = {spec.name: (rng.random(spec.shape) * 2).astype(spec.dtype) for spec in artifact.inputs}
    return artifact.benchmark(engine.upload(feeds)).median_us


@click.command(cls=Command, help=__doc__)
@click.option("--models", "names", default=",".join(MODELS), callback=listed, show_default=True, help="Names.")
@click.option("--targets", default=",".join(TARGETS), callback=listed, show_default=True, help="Targets.")
@click.option("--build-only", is_flag=True, help="Do not run anything, as on a machine without a GPU.")
@options.as_json
def main(names: list[str], targets: list[str], build_only: bool, as_json: bool) -> None:
    with terminal.progress():
        report = Report([measure(name, target, build_only) for name in names for target in targets])
    if as_json:
        terminal.print_json(report)
        return
    rows = [
        [
            row.model,
            row.target,
            f"{row.seconds:.1f}",
            f"{row.cubin_bytes / 1024:.0f}",
            str(row.kernels),
            " ".join(f"{name}:{count}" for name, count in row.instructions.items() if count),
            str(row.registers),
            f"{row.shared_bytes / 1024:.0f}",
            str(row.spilled_bytes),
            "-" if row.median_us is None else f"{row.median_us:.1f}",
        ]
        for row in report.rows
    ]
    head = ["model", "target", "build s", "cubin KiB", "kernels", "with", "registers", "shared KiB", "spilled", "us"]
    terminal.print_table("models on NVIDIA GPUs", head, rows)


if __name__ == "__main__":
    main()
