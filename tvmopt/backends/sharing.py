"""Which tensors of a program are one piece of memory: outputs that overwrite inputs, and parts of a concatenation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .program import Call, Program, last_uses


@dataclass(frozen=True)
class Sharing:
    """Pieces of memory that several tensors have, at the same time or in turn.

    Attributes
    ----------
    groups : by tensor, the tensor in whose memory it is, and at which byte of it.
    over   : by call, {output number: input number} for outputs that overwrite an input.
    parts  : by call, {input number: byte of the output} for a call that only puts inputs beside each other. No kernel
             is needed for it: what is not in its place already is copied there.
    """

    groups: tuple[tuple[int, int], ...]
    over: tuple[dict[int, int], ...]
    parts: tuple[dict[int, int], ...]


def share(
    program: Program,
    overwritable: Mapping[str, set[tuple[int, int]]],
    parts: Mapping[str, dict[int, int]],
    own_inputs: bool = False,
) -> Sharing:
    """Decide, call by call, which tensors share memory.

    overwritable : by kernel, the pairs (input, output) that may be one piece of memory.
    parts        : by kernel that does nothing but that, where in its output it puts each input: {input: byte}.
    own_inputs   : whether the model's inputs may be overwritten.

    An input is overwritten where nothing that lies in its bytes is needed any more. The longest-living choice is not
    searched for: the first legal input is taken. A part of a concatenation is computed in its place where its memory is
    its own: not the caller's, nor a part of something else.
    """
    sharing = _Sharing(program, own_inputs)
    over: list[dict[int, int]] = [{} for _ in program.calls]
    for step, call in enumerate(program.calls):
        if ours := parts.get(call.kernel):
            sharing.join(call, ours)
        else:
            over[step] = sharing.overwrite(step, call, overwritable.get(call.kernel, set()))
    by_call = tuple(parts.get(call.kernel, {}) for call in program.calls)
    return Sharing(tuple(sharing.groups), tuple(over), by_call)


class _Sharing:
    def __init__(self, program: Program, own_inputs: bool) -> None:
        self.tensors = program.tensors
        self.own_inputs = own_inputs
        self.last = last_uses(program)
        self.outputs = set(program.outputs)
        self.groups = [(index, 0) for index in range(len(program.tensors))]
        self.members = [[index] for index in range(len(program.tensors))]  # of a group, by the tensor they are in

    def overwrite(self, step: int, call: Call, pairs: set[tuple[int, int]]) -> dict[int, int]:
        taken: dict[int, int] = {}
        for i, o in sorted(pairs):
            if o not in taken and i not in taken.values() and self.dies(call.reads[i], step, call):
                taken[o] = i
                self.merge(call.writes[o], *self.groups[call.reads[i]])
        return taken

    def dies(self, tensor: int, step: int, call: Call) -> bool:
        """Whether a call may write over a tensor that it reads: all that shares its bytes is used here last, and only
        the tensor is used here, once.
        """
        root, at = self.groups[tensor]
        sharers = [m for m in self.members[root] if self.groups[m][1] < self.end(tensor) and at < self.end(m)]
        return self.owned(root) and all(
            self.last[m] <= step and call.reads.count(m) == (m == tensor) for m in {tensor, *sharers}
        )

    def join(self, call: Call, parts: dict[int, int]) -> None:
        """Move the inputs of a concatenation into its output."""
        for i, at in sorted(parts.items()):
            tensor = call.reads[i]
            root, _ = self.groups[tensor]
            whole = self.tensors[root].bytes == self.tensors[tensor].bytes
            if whole and self.owned(root) and self.outputs.isdisjoint(self.members[root]):
                self.merge(root, call.writes[0], at)

    def owned(self, tensor: int) -> bool:
        """Whether kernels may write to its memory."""
        return self.tensors[tensor].computed or (self.own_inputs and self.tensors[tensor].input is not None)

    def end(self, tensor: int) -> int:
        return self.groups[tensor][1] + self.tensors[tensor].bytes

    def merge(self, root: int, into: int, at: int) -> None:
        """Put a group into the memory of another, ``at`` bytes after its start."""
        for member in self.members[root]:
            self.groups[member] = (into, self.groups[member][1] + at)
        self.members[into] += self.members[root]
        self.members[root] = []
