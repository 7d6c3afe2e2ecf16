"""Weights without their zeros, for devices that are short of flash: a bit for each, and those that are not zero."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace

import numpy as np

from .program import Program, Tensor, without_unused
from .unpacking import unpacking

_WORD = 32
# Code, about: of the function that unpacks, of calling it in a kernel, of a kernel that is needed once more because
# other calls of it keep their weights.
_UNPACK_BYTES = 512
_CALL_BYTES = 256
_KERNEL_BYTES = 1024


@dataclass(frozen=True, eq=False)
class Packed:
    """An int8 weight [R, ...], stored as R tiles.

    Attributes
    ----------
    bits   : uint32 [R, 1 + words]; of each tile, where its values begin, then a bit for each element, highest first.
    values : int8 [N], the elements that are not zero.
    """

    bits: np.ndarray
    values: np.ndarray

    @property
    def nbytes(self) -> int:
        """Of both."""
        return self.bits.nbytes + self.values.nbytes


@dataclass(frozen=True)
class Saving:
    """What a packed weight saves, and what that costs.

    Attributes
    ----------
    step         : the call that reads it.
    bytes        : as it is stored.
    dense_bytes  : as it would be.
    instructions : that unpacking takes in one inference; an estimate, for a Cortex-M4.
    """

    step: int
    bytes: int
    dense_bytes: int
    instructions: int


def encode(weight: np.ndarray) -> Packed:
    """Pack an int8 weight [R, ...]."""
    tiles = weight.reshape(len(weight), -1)
    used = tiles != 0
    begins = np.concatenate([[0], used.sum(1).cumsum()[:-1]])
    padded = np.pad(used, ((0, 0), (0, -tiles.shape[1] % _WORD)))
    words = np.packbits(padded, axis=1).view(">u4")
    values = tiles[used] if used.any() else np.zeros(1, np.int8)  # a constant has at least one element
    return Packed(np.column_stack([begins, words]).astype(np.uint32), values)


def pack(program: Program, unpack: str) -> tuple[Program, list[Saving]]:
    """Pack the weights where that saves flash, if their kernels can unpack them tile by tile.

    unpack : the name of the function that does, ``unpacking.unpack``.
    """
    tensors, kernels, calls, savings = list(program.tensors), dict(program.kernels), list(program.calls), []
    uses = Counter(tensor for call in calls for tensor in call.reads)
    found = {step: candidate for step in range(len(calls)) if (candidate := _candidate(program, step, uses))}
    for kernel in dict.fromkeys(calls[step].kernel for step in found):
        every = [step for step, call in enumerate(calls) if call.kernel == kernel]
        smaller = [step for step in every if step in found]
        code = _CALL_BYTES if smaller == every else _KERNEL_BYTES
        if sum(found[step].saved for step in smaller) <= code:
            continue
        way = unpacking(program.kernels[kernel], found[smaller[0]].read, unpack)
        if way is None:
            continue
        kernels[f"{kernel}_packed"] = way.func
        for step in smaller:
            weight, reads = found[step], calls[step].reads
            dense = tensors[reads[weight.read]]
            own = (len(tensors), len(tensors) + 1)
            for name, data in (("bits", weight.packed.bits), ("values", weight.packed.values)):
                tensors.append(Tensor(f"{dense.name} {name}", data.nbytes, data=data))
            reads = (*reads[: weight.read], *own, *reads[weight.read + 1 :])
            calls[step] = replace(calls[step], kernel=f"{kernel}_packed", reads=reads)
            savings.append(Saving(step, weight.packed.nbytes, dense.bytes, way.times * _instructions(weight.packed)))
    if sum(saving.dense_bytes - saving.bytes for saving in savings) <= _UNPACK_BYTES:
        return program, []
    packed = replace(program, tensors=tuple(tensors), calls=tuple(calls), kernels=kernels)
    return without_unused(packed), sorted(savings, key=lambda saving: saving.step)


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A weight that is smaller when packed: which operand of its call, and the bytes that saves."""

    read: int
    packed: Packed
    saved: int


def _candidate(program: Program, step: int, uses: Counter[int]) -> _Candidate | None:
    """The largest int8 constant that a call reads, if it is smaller when packed and no other call reads it."""
    call = program.calls[step]
    constants = [(i, program.tensors[t].data) for i, t in enumerate(call.reads)] if not call.external else []
    weights = [(i, data) for i, data in constants if data is not None and data.dtype == np.int8 and data.ndim > 1]
    if not weights:
        return None
    read, weight = max(weights, key=lambda one: one[1].nbytes)
    packed = encode(weight)
    saved = weight.nbytes - packed.nbytes
    return _Candidate(read, packed, saved) if saved > 0 and uses[call.reads[read]] == 1 else None


def _instructions(packed: Packed) -> int:
    """That ``unpacking.unpack`` takes."""
    return 40 * len(packed.bits) + 25 * packed.bits.size + 7 * packed.values.size
