"""Layer by layer on a simulated systolic array: cycles, beside those of SCALE-Sim, utilisation and traffic.

SCALE-Sim's cycles are taken from scalesim.json, or, with ``--scalesim PYTHON``, computed by that Python and recorded
there (see run_scalesim.py).
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import click

import tvmopt
from tvmopt import target as targets
from tvmopt.cli import options, terminal
from tvmopt.errors import InputError
from tvmopt.runtime.systolic import Cost, Program, costs
from tvmopt.runtime.systolic.commands import Layer, Stream, Window
from tvmopt.runtime.systolic.engine import Simulated
from tvmopt.target import Systolic

from . import models
from .command import Command, listed

MODELS = ["kws", "ic", "vww", "ad", "mobilenet_v2-u8-qdq"]
RECORDED = Path(__file__).with_name("scalesim.json")

Convolution = tuple[int, int, int, int, int, int, int]
"""What SCALE-Sim is asked for: height and width with borders, kernel, channels, filters, stride."""


@dataclass(frozen=True)
class Row:
    """A layer of a model; ``scalesim_cycles`` are compute cycles, None where the array has nothing to do."""

    model: str
    layer: Cost
    scalesim_cycles: int | None


@dataclass(frozen=True)
class Report:
    """What is printed as JSON."""

    target: str
    rows: list[Row]


def convolutions(program: Program) -> list[list[Convolution]]:
    """For every layer of a program, the convolutions that its tiles belong to.

    One for most layers, none where the array has nothing to do. Of a depthwise convolution one for every few channels
    that share a tile: to the array it is dense, mostly with zeros.
    """
    layers: list[dict[int, list[int]]] = []
    window = None
    for command in program.commands:
        if isinstance(command, Layer):
            layers.append({})
        elif isinstance(command, Window):
            window = command
        elif isinstance(command, Stream) and command.row == 0 and command.pixel == 0:
            assert window is not None
            down, across = ((n - 1) * s + k for n, s, k in zip(window.out, window.strides, window.kernel, strict=True))
            whole = [down, across, *window.kernel, command.channels, 0, window.strides[0]]
            layers[-1].setdefault(command.channel, whole)[5] += command.columns
    return [[_convolution(*matrix) for matrix in layer.values()] for layer in layers]


def _convolution(*sizes: int) -> Convolution:
    height, width, down, across, channels, filters, stride = sizes
    return height, width, down, across, channels, filters, stride


def scalesim(machine: Systolic, layers: Iterable[Convolution], python: Path) -> dict[Convolution, int]:
    """SCALE-Sim's compute cycles, by the Python of an environment that has it."""
    asked = sorted(set(layers))
    request = json.dumps({"rows": machine.rows, "columns": machine.columns, "layers": asked})
    script = Path(__file__).with_name("run_scalesim.py")
    done = subprocess.run([python, script], input=request, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    return {layer: total - stalled for layer, (total, stalled) in zip(asked, found, strict=True)}


def recorded() -> dict[Convolution, int]:
    """SCALE-Sim's compute cycles on the array of 64x64, as in scalesim.json."""
    return {_convolution(*sizes): cycles for *sizes, cycles in json.loads(RECORDED.read_text())["layers"]}


def record(machine: Systolic, cycles: Mapping[Convolution, int]) -> None:
    """Write scalesim.json."""
    provenance = {
        "made by": "python -m benchmarks.systolic --scalesim PYTHON",
        "simulator": "scalesim==3.0.0 (PyPI), numpy 2.2.6; weight stationary, bandwidth CALC: see run_scalesim.py",
        "array": [machine.rows, machine.columns],
        "columns": "height and width with borders, kernel down and across, channels, filters, stride, compute cycles",
    }
    rows = ",\n".join(f"    {json.dumps([*layer, count])}" for layer, count in sorted(cycles.items()))
    head = json.dumps(provenance, indent=2)[:-2]
    RECORDED.write_text(f'{head},\n  "layers": [\n{rows}\n  ]\n}}\n')


def programs(name: str, target: str) -> list[Program]:
    """The command streams of a model. Raises InputError for a target without a systolic array."""
    if not isinstance(targets.get(target).accelerator, Systolic):
        raise InputError(f"target {target} has no systolic array")
    engine = tvmopt.compile(models.get(name), target).engine
    assert isinstance(engine, Simulated)
    return list(engine.programs.values())


def compare(name: str, program: Program, cycles: Mapping[Convolution, int]) -> list[Row]:
    """Every layer of a program. Raises InputError for one that SCALE-Sim's cycles are not known of."""
    rows = []
    for cost, parts in zip(costs(program), convolutions(program), strict=True):
        unknown = [part for part in parts if part not in cycles]
        if unknown:
            raise InputError(f"SCALE-Sim's cycles of {unknown[0]} are not recorded", hint="give --scalesim PYTHON")
        rows.append(Row(name, cost, sum(cycles[part] for part in parts) if parts else None))
    return rows


@click.command(cls=Command, help=__doc__)
@click.option("--models", "names", default=",".join(MODELS), callback=listed, show_default=True, help="Names.")
@click.option("-t", "--target", default="edge/systolic-64x64", show_default=True, help="With a systolic array.")
@click.option("--scalesim", "python", type=options.file, help="Python of an environment with SCALE-Sim.")
@options.as_json
def main(names: list[str], target: str, python: Path | None, as_json: bool) -> None:
    with terminal.progress():
        streams = [(name, program) for name in names for program in programs(name, target)]
        if python is None:
            cycles = recorded()
        else:
            machine = streams[0][1].machine
            asked = [part for _, program in streams for layer in convolutions(program) for part in layer]
            cycles = scalesim(machine, asked, python)
            record(machine, cycles)
        report = Report(target, [row for name, program in streams for row in compare(name, program, cycles)])
    if as_json:
        terminal.print_json(report)
        return
    rows = [[row.model, *_cells(row.layer, row.scalesim_cycles)] for row in report.rows]
    header = ["model", "layer", "kind", "cycles", "array", "SCALE-Sim", "differs", "stalled", "use", "DRAM B", "chip B"]
    terminal.print_table(f"cycles and bytes of one inference on {target}", header, rows)


def _cells(layer: Cost, theirs: int | None) -> list[str]:
    differs = "" if theirs is None else f"{abs(layer.array_cycles - theirs) / theirs:.2%}"
    return [
        *(layer.name, layer.kind, f"{layer.cycles:,}", f"{layer.array_cycles:,}"),
        *("" if theirs is None else f"{theirs:,}", differs, f"{layer.stall_cycles:,}", f"{layer.utilisation:.1%}"),
        f"{layer.dram_read_bytes + layer.dram_write_bytes:,}",
        f"{layer.chip_read_bytes + layer.chip_write_bytes:,}",
    ]


if __name__ == "__main__":
    main()
