"""tvmopt compile: an ONNX model to an artifact on disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ..abi import NAME
from . import accelerator, options, terminal

if TYPE_CHECKING:
    from ..backends.embedded import Emit, IoMemory
    from ..passes.pipeline import Io


@click.command("compile")
@options.model
@options.target
@click.option("-o", "--output", required=True, type=options.file, help="The artifact to write.")
@options.threads
@options.bindings
@options.sparsity
@options.records
@click.option(
    "--io",
    type=click.Choice(["onnx", "int8", "int8-inputs"]),
    default="onnx",
    show_default=True,
    help="Inputs and outputs: the ONNX model's, or the 8-bit tensors that it makes of them (or of its inputs only). A "
    "final float softmax, sigmoid or tanh gives int8 with TensorFlow Lite's scale and zero point.",
)
@click.option(
    "--emit",
    type=click.Choice(["object", "c", "tosa-mlir"]),
    default="object",
    show_default=True,
    help="How a microcontroller's kernels are written: compiled, or as portable C; or compiled, and an Ethos-U's "
    "subgraphs besides as MLIR text.",
)
@click.option(
    "--io-memory",
    type=click.Choice(["caller", "workspace"]),
    default="caller",
    show_default=True,
    help="A microcontroller's inputs and outputs: in memory of the caller's, or in the workspace.",
)
@options.compress_weights
@click.option(
    "--name",
    default=NAME,
    show_default=True,
    help="Of the model in C: its functions are tvmopt_NAME_run and so on. Models in one program need different names.",
)
def command(
    model: Path,
    target: str,
    output: Path,
    threads: int,
    bindings: options.Bindings,
    sparsity: bool,
    records: Path | None,
    io: Io,
    emit: Emit,
    io_memory: IoMemory,
    compress_weights: bool,
    name: str,
) -> None:
    """Compile a model and save the artifact."""
    from .. import api
    from .. import target as targets

    found = targets.get(target)
    with terminal.progress():
        artifact = api.compile(
            api.load(model, **bindings),
            found,
            threads=threads,
            sparsity=sparsity,
            records=records,
            io=io,
            emit=emit,
            io_memory=io_memory,
            compress_weights=compress_weights,
            name=name,
        )
        artifact.save(output)
    files = list(output.iterdir()) if output.is_dir() else [output]
    size = sum(file.stat().st_size for file in files)
    click.echo(f"{output}: {size / 1024:.0f} KiB for {found.name}, {threads} thread(s)")
    if found.accelerator is not None:
        for line in accelerator.lines(artifact.manifest["accelerator"]):
            click.echo(line)
        if (output / f"{name}_npu.c").exists():
            click.echo(f"to build      {name}.h is its interface; {name}_npu.c says how to build it, with Arm's driver")
