"""Writes what is linked with the kernels into an artifact: header, entry function, constants, manifest.

And, for people, the plan of its memory.
"""

from __future__ import annotations

import json
import math
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from ..model import Model, TensorSpec
from . import cpu
from .image import Image
from .layout import Place


def write(image: Image, folder: Path, manifest: dict[str, Any]) -> None:
    """Write ``<name>.h``, ``.c``, ``_data.S``, ``_weights.bin``, ``_manifest.json``, ``.plan.txt`` into ``folder``.

    manifest : what the artifact tells of itself, to which the plan of its memory is added.
    """
    name, model, layout = image.name, image.model, image.layout
    common = header(image) | {
        "name": name,
        "NAME": name.upper(),
        "alignment": layout.plan.alignment,
        "workspace_bytes": layout.plan.size,
        "weights_bytes": layout.weights_bytes,
    }
    sizes = [
        f"#define TVMOPT_{name.upper()}_{kind}_{i}_BYTES {_bytes(spec)}"
        for kind, specs in (("INPUT", model.inputs), ("OUTPUT", model.outputs))
        for i, spec in enumerate(specs)
    ]
    includes, check = cpu.check(image.target, name)
    prototypes, steps = _calls(image)
    types = template("types.h").read_text(encoding="utf-8")
    fill("model.h", folder / f"{name}.h", tensors=_summary(model), types=types, sizes="\n".join(sizes), **common)
    fill(
        "model.c",
        folder / f"{name}.c",
        check_includes=includes,
        check=check,
        prototypes="\n".join(prototypes),
        tables="\n\n".join([_table("input", model.inputs), _table("output", model.outputs)]),
        inputs_count=len(model.inputs),
        outputs_count=len(model.outputs),
        steps="\n".join(steps),
        **common,
    )
    fill("data.S", folder / f"{name}_data.S", **common)
    weights = bytearray(layout.weights_bytes)
    for index in layout.weights:
        data, at = image.program.tensors[index].data, layout.places[index].at
        assert data is not None
        weights[at : at + data.nbytes] = data.tobytes()
    (folder / f"{name}_weights.bin").write_bytes(weights)
    (folder / f"{name}_manifest.json").write_text(json.dumps(manifest | {"memory": _memory(image)}), encoding="utf-8")
    (folder / f"{name}.plan.txt").write_text(_plan(image), encoding="utf-8")


def header(image: Image) -> dict[str, str | int]:
    """What a generated file begins with."""
    title = Path(image.model.source).name.replace("*/", "")
    return {"title": title, "version": version("tvmopt"), "target": image.target.name}


def _memory(image: Image) -> dict[str, Any]:
    """The plan of the workspace: offset, bytes, first and last step of each buffer."""
    plan = image.layout.plan
    return {
        "workspace_bytes": plan.size,
        "workspace_lower_bound": plan.lower_bound,
        "weights_bytes": image.layout.weights_bytes,
        "steps": image.symbols,
        "buffers": [
            {"name": b.name, "offset": at, "bytes": b.size, "first": b.first, "last": b.last}
            for b, at in zip(plan.buffers, plan.offsets, strict=True)
        ],
    }


def _plan(image: Image) -> str:
    """For people: where every buffer of the workspace lives, and when: from which step to which."""
    program, layout = image.program, image.layout
    lines = [f"{header(image)['title']} for {image.target.name}", "", layout.plan.report(), "", "steps"]
    for step, (call, symbol) in enumerate(zip(program.calls, image.symbols, strict=True)):
        reads, writes = (
            ", ".join(f"{program.tensors[t].name} ({_where(layout.places[t])})" for t in tensors)
            for tensors in ([t for t in call.reads if program.tensors[t].data is None], call.writes)
        )
        lines.append(f"{step:>5}  {symbol}: {reads} -> {writes}")
    return "\n".join(lines) + "\n"


def _where(place: Place) -> str:
    return f"{place.memory} at {place.at}" if place.memory == "workspace" else f"{place.memory}[{place.at}]"


def template(name: str) -> Path:
    """A file of ``templates/``."""
    return Path(str(resources.files(__package__))) / "templates" / name


def fill(template_name: str, path: Path, **values: str | int) -> None:
    """Write a template with its values filled in."""
    text = template(template_name).read_text(encoding="utf-8")
    path.write_text(Template(text).substitute(values), encoding="utf-8")


def _calls(image: Image) -> tuple[list[str], list[str]]:
    """Prototypes of the kernels, and the statements that call them."""
    program, layout = image.program, image.layout
    prototypes, steps = {}, []
    for call, symbol, taken, scratch in zip(program.calls, image.symbols, image.shared, layout.scratch, strict=True):
        writes = [tensor for o, tensor in enumerate(call.writes) if o not in taken]
        types = ["void *" if i in taken.values() else "const void *" for i in range(len(call.reads))]
        types += ["void *"] * (len(writes) + len(scratch))
        prototypes[symbol] = f"int32_t {symbol}({', '.join(types)});"
        args = [_address(layout.places[tensor]) for tensor in (*call.reads, *writes)]
        args += [_address(Place("workspace", at)) for at in scratch]
        steps.append(f"  {symbol}({', '.join(args)});")
    for output, tensor in layout.copies:
        source = _address(layout.places[tensor])
        steps.append(f"  memcpy(outputs[{output}], {source}, {program.tensors[tensor].bytes});")
    return list(prototypes.values()), steps


def _address(place: Place) -> str:
    if place.memory in ("inputs", "outputs"):
        return f"{place.memory}[{place.at}]"
    return f"{'ws' if place.memory == 'workspace' else 'weights'} + {place.at}"


def _table(name: str, specs: tuple[TensorSpec, ...]) -> str:
    shapes = [
        f"static const int64_t {name}{i}_shape[] = {{{', '.join(map(str, spec.shape)) or '1'}}};"
        for i, spec in enumerate(specs)
    ]
    rows = [
        f"  {{{_literal(spec.name)}, {_literal(spec.dtype)}, {name}{i}_shape, {len(spec.shape)}, {_bytes(spec)}, "
        f"{float(np.float32(spec.scale or 0.0))}f, {spec.zero_point or 0}}},"
        for i, spec in enumerate(specs)
    ]
    return "\n".join([*shapes, f"static const tvmopt_tensor {name}[] = {{", *rows, "};"])


def _summary(model: Model) -> str:
    lines = []
    for kind, specs in (("inputs", model.inputs), ("outputs", model.outputs)):
        for i, spec in enumerate(specs):
            quantized = f", (q - {spec.zero_point or 0}) * {spec.scale}" if spec.scale is not None else ""
            shape = "".join(f"[{dim}]" for dim in spec.shape)
            lines.append(
                f" * {kind}[{i}]  {_comment(spec.name)}: {spec.dtype} {shape}{quantized}, {_bytes(spec)} bytes"
            )
    return "\n".join(lines)


def _bytes(spec: TensorSpec) -> int:
    return math.prod(map(int, spec.shape)) * np.dtype(spec.dtype).itemsize


def _literal(text: str) -> str:
    """A C string literal of UTF-8 bytes."""
    plain = {byte: chr(byte) for byte in range(32, 127) if chr(byte) not in '"\\?'}
    return '"' + "".join(plain.get(byte, f"\\{byte:03o}") for byte in text.encode()) + '"'


def _comment(text: str) -> str:
    return text.replace("*/", "* /").replace("\n", " ")
