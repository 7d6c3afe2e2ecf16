"""What a microcontroller needs of the subgraphs of its Ethos-U: C functions that have the driver run them, and data."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from .. import simulated, source, static_c
from ..image import Image
from ..layout import Work
from ..program import Call
from .part import Part
from .vela import Compiled, Memory, Place


def work(parts: Mapping[str, Part]) -> dict[str, Work]:
    """What the C function of each subgraph does to memory, by its name: copies, and activations in between."""
    found = {}
    for name, part in parts.items():
        one = part.compiled
        copied = [place.bytes for place in (*one.inputs, *one.outputs)]
        found[name] = Work((one.scratch.bytes,), (*copied, 2 * one.scratch.bytes))
    return found


def write(image: Image, parts: Mapping[str, Part], folder: Path) -> None:
    """Write ``<name>_npu.c``, ``<name>_npu.S`` and what it includes, the TOSA files, and Vela's estimates by layer."""
    prefix = f"{image.name}_npu"
    calls = simulated.subgraphs(image)
    compiled = {symbol: parts[call.kernel].compiled for symbol, call in calls.items()}
    memories = [memory for one in compiled.values() for memory in _memories(one)]
    source.fill(
        "npu.c",
        folder / f"{prefix}.c",
        accelerator=parts[next(iter(parts))].accelerator.config,
        compiler=static_c.COMPILER,
        flags=" ".join(static_c.flags(image.target)),
        name=image.name,
        prefix=prefix,
        kernels=f"{image.name}_kernels.{'c' if image.options.emit == 'c' else 'o'}",
        entry=f"tvmopt_{image.name}_run",
        regions=1 + max(memory.region for memory in memories),
        declarations="\n".join(_declared(symbol, one) for symbol, one in compiled.items()),
        functions="\n\n".join(_function(symbol, calls[symbol], one) for symbol, one in compiled.items()),
        **source.header(image),
    )
    data = []
    for symbol, one in compiled.items():
        for kind, content in (("commands", one.commands), ("weights", one.weights)):
            (folder / f"{symbol}_{kind}.bin").write_bytes(content)
            data.append(_data(f"{symbol}_{kind}"))
    (folder / f"{prefix}.S").write_text("\n".join([*data, '  .section .note.GNU-stack, "", %progbits', ""]))
    for name, part in parts.items():
        (folder / f"{name}.tosa").write_bytes(part.graph.serialize())
    layers = {name: [asdict(layer) for layer in part.compiled.layers] for name, part in parts.items()}
    (folder / f"{prefix}_estimates.json").write_text(json.dumps(layers, indent=1))


def _memories(compiled: Compiled) -> list[Memory]:
    """Those that the command stream addresses."""
    weights = Memory(compiled.weights_region, len(compiled.weights))
    return [memory for memory in (weights, compiled.scratch, compiled.fast) if memory.bytes]


def _data(symbol: str) -> str:
    lines = [
        f'.section .rodata.{symbol}, "a", %progbits',
        ".balign 16",
        f".global {symbol}",
        f".type {symbol}, %object",
    ]
    body = [f"{symbol}:", f'  .incbin "{symbol}.bin"', f"  .size {symbol}, . - {symbol}"]
    return "\n".join([*(f"  {line}" for line in lines), *body, ""])


def _declared(symbol: str, compiled: Compiled) -> str:
    lines = [f"extern const uint8_t {symbol}_commands[], {symbol}_weights[];"]
    if compiled.fast.bytes:
        lines.append(
            f"static TVMOPT_NPU_FAST uint8_t {symbol}_fast[{compiled.fast.bytes}] __attribute__((aligned(16)));"
        )
    return "\n".join([*lines, ""])


def _function(symbol: str, call: Call, compiled: Compiled) -> str:
    takes = [f"const void *x{i}" for i in range(len(call.reads))]
    gives = [f"void *y{i}" for i in range(len(call.writes))]
    bases = {compiled.weights_region: f"{symbol}_weights", compiled.scratch.region: "scratch"}
    sizes = {compiled.weights_region: len(compiled.weights), compiled.scratch.region: compiled.scratch.bytes}
    if compiled.fast.bytes:
        bases[compiled.fast.region], sizes[compiled.fast.region] = f"{symbol}_fast", compiled.fast.bytes
    lines = [f"int32_t {symbol}({', '.join([*takes, *gives, 'void *scratch'])}) {{"]
    lines.append(f"  uint64_t bases[REGIONS] = {{{_initial({k: f'(uintptr_t){v}' for k, v in bases.items()})}}};")
    lines.append(f"  const size_t sizes[REGIONS] = {{{_initial({k: str(v) for k, v in sizes.items()})}}};")
    lines += [f"  memcpy({_address(bases, place)}, x{i}, {place.bytes});" for i, place in enumerate(compiled.inputs)]
    lines.append(f"  const int32_t status = invoke({symbol}_commands, {len(compiled.commands)}, bases, sizes);")
    lines += [f"  memcpy(y{i}, {_address(bases, place)}, {place.bytes});" for i, place in enumerate(compiled.outputs)]
    return "\n".join([*lines, "  return status;", "}"])


def _initial(values: dict[int, str]) -> str:
    return ", ".join(f"[{region}] = {value}" for region, value in sorted(values.items()))


def _address(bases: dict[int, str], place: Place) -> str:
    return f"(uint8_t *){bases[place.region]} + {place.offset}"
