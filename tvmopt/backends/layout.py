"""Where every tensor of a program lives: in the caller's inputs and outputs, the weights, or the workspace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from .plan import Buffer, Plan, place
from .program import Program


@dataclass(frozen=True)
class Place:
    """A memory and where in it: which input or output, or a byte offset into the weights or the workspace."""

    memory: Literal["inputs", "outputs", "weights", "workspace"]
    at: int


@dataclass(frozen=True)
class Layout:
    """The memory of a program.

    Attributes
    ----------
    places        : by tensor.
    copies        : (output, tensor) for outputs that no kernel writes into place: an input, a constant, or a
                    tensor that another output already is.
    scratch       : by call, the workspace offsets of its kernel's scratch buffers.
    weights       : constants (indices of tensors) in order, and where the weights end.
    weights_bytes : size of the weights.
    plan          : of the workspace.
    """

    places: tuple[Place, ...]
    copies: tuple[tuple[int, int], ...]
    scratch: tuple[tuple[int, ...], ...]
    weights: tuple[int, ...]
    weights_bytes: int
    plan: Plan


def share(program: Program, overwritable: Mapping[str, set[tuple[int, int]]]) -> list[dict[int, int]]:
    """Decide, for each call, which outputs overwrite which inputs: {output number: input number}.

    overwritable : by kernel, the pairs (input, output) that may share memory.

    An input is overwritten where it is a computed tensor, not a model output, used once in this call and never
    after it. The longest-living choice is not searched for: the first legal input is taken.
    """
    last = _last_uses(program)
    shared: list[dict[int, int]] = []
    for step, call in enumerate(program.calls):
        taken: dict[int, int] = {}
        for i, o in sorted(overwritable.get(call.kernel, ())):
            tensor = call.reads[i]
            dies = last[tensor] == step and call.reads.count(tensor) == 1 and program.tensors[tensor].computed
            if dies and o not in taken and i not in taken.values():
                taken[o] = i
        shared.append(taken)
    return shared


def lay_out(
    program: Program, shared: list[dict[int, int]], scratch: Sequence[tuple[int, ...]], alignment: int
) -> Layout:
    """Place every tensor.

    shared    : from ``share``.
    scratch   : by call, the bytes of each scratch buffer its kernel asks for.
    alignment : bytes; of every place in the weights and the workspace.
    """
    groups = _groups(program, shared)
    places = {i: Place("inputs", t.input) for i, t in enumerate(program.tensors) if t.input is not None}
    weights, weights_bytes = [], 0
    for index, tensor in enumerate(program.tensors):
        if tensor.data is not None:
            places[index] = Place("weights", weights_bytes)
            weights.append(index)
            weights_bytes += -(-tensor.bytes // alignment) * alignment
    copies = []
    for number, index in enumerate(program.outputs):
        if not program.tensors[index].computed or groups[index] in places:
            copies.append((number, index))
        else:
            places[groups[index]] = Place("outputs", number)

    buffers = _buffers(program, groups, places)
    asked = [(step, size) for step, sizes in enumerate(scratch) for size in sizes]
    temporary = [Buffer(f"scratch of {program.calls[step].kernel}", size, step, step) for step, size in asked]
    plan = place([*buffers.values(), *temporary], alignment)
    places |= {group: Place("workspace", at) for group, at in zip(buffers, plan.offsets, strict=False)}
    offsets: list[list[int]] = [[] for _ in program.calls]
    for (step, _), at in zip(asked, plan.offsets[len(buffers) :], strict=True):
        offsets[step].append(at)
    return Layout(
        tuple(places[groups[index]] for index in range(len(program.tensors))),
        tuple(copies),
        tuple(map(tuple, offsets)),
        tuple(weights),
        weights_bytes,
        plan,
    )


def _buffers(program: Program, groups: list[int], places: Mapping[int, Place]) -> dict[int, Buffer]:
    """What the workspace has to hold for a while, besides scratch: by group, those that have no place yet."""
    first, last = _first_writes(program), _last_uses(program)
    members: dict[int, list[int]] = {}
    for index, tensor in enumerate(program.tensors):
        if tensor.computed and groups[index] not in places:
            members.setdefault(groups[index], []).append(index)
    return {
        group: Buffer(
            " = ".join(program.tensors[m].name for m in same),
            max(program.tensors[m].bytes for m in same),
            min(first[m] for m in same),
            max(max(last[m], first[m]) for m in same),
        )
        for group, same in members.items()
    }


def _last_uses(program: Program) -> dict[int, int]:
    """The last step that reads each tensor; a model output is used after the last step, an unread one never (-1)."""
    last = dict.fromkeys(range(len(program.tensors)), -1)
    for step, call in enumerate(program.calls):
        last |= dict.fromkeys(call.reads, step)
    return last | dict.fromkeys(program.outputs, len(program.calls))


def _first_writes(program: Program) -> dict[int, int]:
    return {tensor: step for step, call in enumerate(program.calls) for tensor in call.writes}


def _groups(program: Program, shared: list[dict[int, int]]) -> list[int]:
    """For each tensor, the first tensor whose memory it shares."""
    groups = list(range(len(program.tensors)))
    for call, taken in zip(program.calls, shared, strict=True):
        for o, i in taken.items():
            groups[call.writes[o]] = groups[call.reads[i]]
    return groups
