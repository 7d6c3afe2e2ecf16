"""Writes what is linked with the kernels into an artifact: header, entry function, constants, manifest.

And, for people, the plan of its memory.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from importlib import resources
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any

import numpy as np

from ..model import TensorSpec
from . import cpu, plan_report
from .embedded import IoMemory
from .image import Image
from .layout import Place

# What the sources say, by who has the memory of inputs and outputs.
_IO: dict[IoMemory, dict[str, str]] = {
    "caller": {
        "parameters": "const void *const *inputs, void *const *outputs, ",
        "memory": """\
 * and writes nothing but the outputs and the workspace: calls with different workspaces may run at the same
 * time. Inputs, outputs and workspace must not overlap. Inputs and outputs may have any alignment that their
 * element type allows; the workspace needs {prefix}_WORKSPACE_ALIGNMENT.""",
        "run": "inputs and outputs: one address each, in the order above. Returns a tvmopt_status.",
        "unused": "  (void)inputs;\n",
    },
    "workspace": {
        "parameters": "",
        "memory": """\
 * and writes nothing but the workspace: calls with different workspaces may run at the same time. Inputs and
 * outputs are in the workspace, at {prefix}_INPUT_0_OFFSET and so on: write the inputs before each call,
 * which overwrites them. The workspace needs {prefix}_WORKSPACE_ALIGNMENT.""",
        "run": "Returns a tvmopt_status.",
        "unused": "",
    },
}


def write(image: Image, folder: Path, manifest: dict[str, Any]) -> None:
    """Write ``<name>.h``, ``.c``, ``_data.S``, ``_weights.bin``, ``_manifest.json``, ``.plan.txt`` into ``folder``.

    manifest : what the artifact tells of itself, to which the plan of its memory is added.
    """
    name, model, layout = image.name, image.model, image.layout
    prefix, workspaces, io = f"TVMOPT_{name.upper()}", layout.workspaces, _IO[image.options.io_memory]
    common = header(image) | {
        "name": name,
        "NAME": name.upper(),
        "alignment": layout.alignment,
        "parameters": io["parameters"] + ", ".join(f"void *{argument}" for argument in workspaces),
        "weights_bytes": layout.weights_bytes,
    }
    includes, check = cpu.check(image.target, name)
    prototypes, steps = _calls(image)
    types = template("types.h").read_text(encoding="utf-8")
    fill(
        "model.h",
        folder / f"{name}.h",
        tensors=_summary(image),
        memory=io["memory"].format(prefix=prefix),
        types=types,
        sizes="\n".join(_sizes(image, prefix)),
        run=io["run"],
        **common,
    )
    fill(
        "model.c",
        folder / f"{name}.c",
        check_includes=includes,
        check=check,
        prototypes="\n".join(prototypes),
        tables="\n\n".join([_table("input", model.inputs), _table("output", model.outputs)]),
        inputs_count=len(model.inputs),
        outputs_count=len(model.outputs),
        workspace_bytes=" + ".join(f"{prefix}_{argument.upper()}_BYTES" for argument in workspaces),
        pointers="\n".join(f"  uint8_t *const ws{i} = {argument};" for i, argument in enumerate(workspaces)),
        wrong=" || ".join(f"!ws{i} || (uintptr_t)ws{i} % {prefix}_WORKSPACE_ALIGNMENT" for i in range(len(workspaces))),
        unused=io["unused"],
        steps="\n".join(steps),
        steps_count=len(image.program.calls),
        **common,
    )
    fill("data.S", folder / f"{name}_data.S", **common)
    weights = bytearray(layout.weights_bytes)
    for index in layout.weights:
        data, at = image.program.tensors[index].data, layout.places[index].at
        assert data is not None
        weights[at : at + data.nbytes] = data.tobytes()
    (folder / f"{name}_weights.bin").write_bytes(weights)
    facts = manifest | {"memory": plan_report.facts(image)}
    (folder / f"{name}_manifest.json").write_text(json.dumps(facts), encoding="utf-8")
    heading = f"{header(image)['title']} for {image.target.name}"
    (folder / f"{name}.plan.txt").write_text(f"{heading}\n\n{plan_report.text(image)}\n", encoding="utf-8")


def header(image: Image) -> dict[str, str | int]:
    """What a generated file begins with."""
    title = Path(image.model.source).name.replace("*/", "")
    return {"title": title, "version": version("tvmopt"), "target": image.target.name}


def template(name: str) -> Path:
    """A file of ``templates/``."""
    return Path(str(resources.files(__package__))) / "templates" / name


def fill(template_name: str, path: Path, **values: str | int) -> None:
    """Write a template with its values filled in."""
    text = template(template_name).read_text(encoding="utf-8")
    path.write_text(Template(text).substitute(values), encoding="utf-8")


def _calls(image: Image) -> tuple[list[str], list[str]]:
    """Prototypes of the kernels, and the statements that call them."""
    program, layout, sharing = image.program, image.layout, image.sharing
    prototypes, steps = {}, []
    by_call = zip(program.calls, image.symbols, sharing.over, sharing.parts, layout.scratch, strict=True)
    for number, (call, symbol, over, parts, scratch) in enumerate(by_call):
        steps.append(f"  STEP({number})")
        if symbol is None:
            whole = layout.places[call.writes[0]]
            moves = [(replace(whole, at=whole.at + at), call.reads[i]) for i, at in parts.items()]
            steps += [_copy(image, to, tensor) for to, tensor in moves if layout.places[tensor] != to]
            continue
        writes = [tensor for o, tensor in enumerate(call.writes) if o not in over]
        types = ["void *" if i in over.values() else "const void *" for i in range(len(call.reads))]
        types += ["void *"] * (len(writes) + len(scratch))
        prototypes[symbol] = f"int32_t {symbol}({', '.join(types)});"
        places = [*(layout.places[tensor] for tensor in (*call.reads, *writes)), *scratch]
        statement = f"{symbol}({', '.join(map(_address, places))})"
        steps.append(f"  if ({statement}) return TVMOPT_ACCELERATOR;" if call.external else f"  {statement};")
    steps += [_copy(image, layout.outputs[output], tensor) for output, tensor in layout.copies]
    return list(prototypes.values()), steps


def _copy(image: Image, to: Place, tensor: int) -> str:
    size = image.program.tensors[tensor].bytes
    return f"  memcpy({_address(to)}, {_address(image.layout.places[tensor])}, {size});"


def _address(place: Place) -> str:
    if place.memory in ("inputs", "outputs"):
        array = f"{place.memory}[{place.number}]"
        return (
            array if not place.at else f"({'const ' if place.memory == 'inputs' else ''}uint8_t *){array} + {place.at}"
        )
    return f"{f'ws{place.number}' if place.memory == 'workspace' else 'weights'} + {place.at}"


def _sizes(image: Image, prefix: str) -> list[str]:
    """Macros of the bytes of inputs, outputs and workspaces; and where in the workspace the former are."""
    layout, lines = image.layout, []
    for argument, (region, plan) in zip(layout.workspaces, layout.plans.items(), strict=True):
        lines.append(f"#define {prefix}_{argument.upper()}_BYTES {plan.size} /* {region} */")
    lines.append(f"#define {prefix}_WORKSPACE_ALIGNMENT {layout.alignment}")
    for kind, specs, places in (
        ("INPUT", image.model.inputs, layout.inputs),
        ("OUTPUT", image.model.outputs, layout.outputs),
    ):
        for i, (spec, place) in enumerate(zip(specs, places, strict=True)):
            lines.append(f"#define {prefix}_{kind}_{i}_BYTES {_bytes(spec)}")
            if place.memory == "workspace":
                lines.append(f"#define {prefix}_{kind}_{i}_OFFSET {place.at} /* {layout.workspaces[place.number]} */")
    return lines


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


def _summary(image: Image) -> str:
    lines = []
    for kind, specs in (("inputs", image.model.inputs), ("outputs", image.model.outputs)):
        for i, spec in enumerate(specs):
            quantized = f", (q - {spec.zero_point or 0}) * {spec.scale}" if spec.scale is not None else ""
            shape = "".join(f"[{dim}]" for dim in spec.shape)
            lines.append(
                f" * {kind}[{i}]  {_comment(spec.name)}: {spec.dtype} {shape}{quantized}, {_bytes(spec)} bytes"
            )
    for argument, (region, plan) in zip(image.layout.workspaces, image.layout.plans.items(), strict=True):
        lines.append(f" * {argument}  {plan.size} bytes of {region}")
    return "\n".join(lines)


def _bytes(spec: TensorSpec) -> int:
    return math.prod(map(int, spec.shape)) * np.dtype(spec.dtype).itemsize


def _literal(text: str) -> str:
    """A C string literal of UTF-8 bytes."""
    plain = {byte: chr(byte) for byte in range(32, 127) if chr(byte) not in '"\\?'}
    return '"' + "".join(plain.get(byte, f"\\{byte:03o}") for byte in text.encode()) + '"'


def _comment(text: str) -> str:
    return text.replace("*/", "* /").replace("\n", " ")
