"""Where every tensor of a program lives: in the caller's inputs and outputs, the weights, or the workspace."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ..target import Region
from .assign import assign
from .embedded import IoMemory
from .plan import Buffer, Plan
from .program import Program, last_uses
from .sharing import Sharing


@dataclass(frozen=True)
class Place:
    """A memory, which one of that kind (input, output, or region of the workspace), and a byte of it."""

    memory: Literal["inputs", "outputs", "weights", "workspace"]
    number: int
    at: int = 0


@dataclass(frozen=True)
class Work:
    """What one call does to memory.

    Attributes
    ----------
    scratch : bytes of each scratch buffer that its kernel asks for.
    traffic : bytes that it moves from and to each tensor it reads, each that it writes, each scratch buffer.
    """

    scratch: tuple[int, ...] = ()
    traffic: tuple[int, ...] = ()


@dataclass(frozen=True)
class Layout:
    """The memory of a program.

    Attributes
    ----------
    places        : by tensor.
    inputs        : by model input, where the caller writes it.
    outputs       : by model output, where the caller finds it.
    copies        : (output, tensor) for outputs that no kernel writes into place: an input, a constant, or a
                    tensor that another output already is.
    scratch       : by call, the places of its kernel's scratch buffers.
    weights       : constants (indices of tensors) in order, and where the weights end.
    weights_bytes : size of the weights.
    alignment     : bytes; of everything in the weights and the workspace, but for parts of a concatenation.
    plans         : of the workspace, by the name of the region it is in; only regions that are used, but at least one.
    """

    places: tuple[Place, ...]
    inputs: tuple[Place, ...]
    outputs: tuple[Place, ...]
    copies: tuple[tuple[int, int], ...]
    scratch: tuple[tuple[Place, ...], ...]
    weights: tuple[int, ...]
    weights_bytes: int
    alignment: int
    plans: dict[str, Plan]

    @property
    def workspace_bytes(self) -> int:
        """Of all regions."""
        return sum(plan.size for plan in self.plans.values())

    @property
    def workspaces(self) -> list[str]:
        """By region, the argument in C that is its memory."""
        return ["workspace"] if len(self.plans) == 1 else [f"workspace_{region}" for region in self.plans]


def lay_out(
    program: Program,
    sharing: Sharing,
    work: Sequence[Work],
    alignment: int,
    regions: Sequence[Region],
    io: IoMemory = "caller",
) -> Layout:
    """Place every tensor.

    work      : by call.
    alignment : bytes; of every place in the weights and the workspace.
    regions   : memories for the workspace, fastest first.

    Raises UnsupportedError where they are too small.
    """
    places: dict[int, Place] = {}  # of the tensors that others are in
    if io == "caller":
        places |= {i: Place("inputs", t.input) for i, t in enumerate(program.tensors) if t.input is not None}
    weights, weights_bytes = [], 0
    for index, tensor in enumerate(program.tensors):
        if tensor.data is not None:
            places[index] = Place("weights", 0, weights_bytes)
            weights.append(index)
            weights_bytes += -(-tensor.bytes // alignment) * alignment
    copies = _callers_outputs(program, sharing, places) if io == "caller" else []

    buffers = _buffers(program, sharing, work, places)
    temporary = [
        Buffer(f"scratch of {call.kernel}", size, step, step, traffic)
        for step, (call, own) in enumerate(zip(program.calls, work, strict=True))
        for size, traffic in zip(own.scratch, own.traffic[len(own.traffic) - len(own.scratch) :], strict=True)
    ]
    found, plans = _workspace([*buffers.values(), *temporary], regions, alignment)
    places |= dict(zip(buffers, found, strict=False))
    rest = iter(found[len(buffers) :])
    by_tensor = [replace(places[root], at=places[root].at + at) for root, at in sharing.groups]
    return Layout(
        tuple(by_tensor),
        tuple(place for place, tensor in zip(by_tensor, program.tensors, strict=True) if tensor.input is not None),
        tuple(Place("outputs", n) if io == "caller" else by_tensor[i] for n, i in enumerate(program.outputs)),
        tuple(copies),
        tuple(tuple(next(rest) for _ in own.scratch) for own in work),
        tuple(weights),
        weights_bytes,
        alignment,
        plans,
    )


def _callers_outputs(program: Program, sharing: Sharing, places: dict[int, Place]) -> list[tuple[int, int]]:
    """Put tensors into the caller's outputs; returns the outputs that are copied at the end, and from which tensor."""
    copies = []
    for number, index in enumerate(program.outputs):
        root, _ = sharing.groups[index]
        whole = program.tensors[root].bytes == program.tensors[index].bytes
        if whole and program.tensors[index].computed and root not in places:
            places[root] = Place("outputs", number)
        else:
            copies.append((number, index))
    return copies


def _buffers(
    program: Program, sharing: Sharing, work: Sequence[Work], places: Mapping[int, Place]
) -> dict[int, Buffer]:
    """What the workspace has to hold for a while, besides scratch: by the tensor that others are in."""
    moved: Counter[int] = Counter()
    for call, own in zip(program.calls, work, strict=True):
        for index, traffic in zip((*call.reads, *call.writes), own.traffic, strict=False):
            moved[index] += traffic
    first = {tensor: step for step, call in enumerate(program.calls) for tensor in call.writes}
    last = last_uses(program)
    members: dict[int, list[int]] = {}
    for index, (root, _) in enumerate(sharing.groups):
        if root not in places:
            members.setdefault(root, []).append(index)
    return {
        root: Buffer(
            " = ".join(program.tensors[m].name for m in same),
            program.tensors[root].bytes,
            min(first.get(m, 0) for m in same),  # inputs are there before the first step
            max(max(last[m], first.get(m, 0)) for m in same),
            sum(moved[m] for m in same),
        )
        for root, same in members.items()
    }


def _workspace(
    buffers: Sequence[Buffer], regions: Sequence[Region], alignment: int
) -> tuple[list[Place], dict[str, Plan]]:
    """The place of each buffer, and the plans of the regions that are used, by name."""
    assigned = assign(buffers, regions, alignment)
    used = [region for region in assigned if region.plan.size] or assigned[:1]
    places = {
        number: Place("workspace", which, at)
        for which, region in enumerate(used)
        for number, at in zip(region.members, region.plan.offsets, strict=True)
    }
    return [places.get(number, Place("workspace", 0)) for number in range(len(buffers))], {
        region.name: region.plan for region in used
    }
