"""Placing every tensor: checked by running random programs on real bytes."""

from __future__ import annotations

from dataclasses import replace
from itertools import accumulate

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt.backends.embedded import IoMemory
from tvmopt.backends.layout import Layout, Place, Work, lay_out
from tvmopt.backends.program import Call, Program, Tensor
from tvmopt.backends.sharing import Sharing, share
from tvmopt.target import Region


@st.composite
def programs(draw: st.DrawFn) -> tuple[Program, dict[str, dict[int, int]]]:
    """Any graph of kernels with up to three operands, outputs used again, given twice, or taken from an input.

    And which of them put their operands beside each other, and where.
    """
    size = st.sampled_from([0, 8, 16, 24, 100])
    tensors = [Tensor(f"x{i}", draw(size), input=i) for i in range(draw(st.integers(1, 2)))]
    for i in range(draw(st.integers(0, 2))):
        data = np.full(draw(size), 200 + i, "uint8")
        tensors.append(Tensor(f"c{i}", data.nbytes, data=data))
    calls, parts = [], {}
    for step in range(draw(st.integers(0, 8))):
        known = st.integers(max(0, len(tensors) - 4), len(tensors) - 1)
        reads = tuple(draw(st.lists(known, max_size=3)))
        if reads and draw(st.booleans()):
            ends = list(accumulate((tensors[t].bytes for t in reads), initial=0))
            parts[f"k{step}"] = dict(enumerate(ends[:-1]))
            sizes = [ends[-1]]
        else:
            sizes = draw(st.lists(size, min_size=1, max_size=2))
        writes = tuple(range(len(tensors), len(tensors) + len(sizes)))
        tensors += [Tensor(f"t{t}", bytes_) for t, bytes_ in zip(writes, sizes, strict=True)]
        calls.append(Call(f"k{step}", reads, writes))
    outputs = draw(st.lists(st.integers(0, len(tensors) - 1), min_size=1, max_size=3))
    return Program(tuple(tensors), tuple(calls), tuple(outputs), {}), parts


def all_pairs(program: Program) -> dict[str, set[tuple[int, int]]]:
    """Every pair of equal size, as if all kernels were elementwise."""
    return {
        call.kernel: {
            (i, o)
            for i, read in enumerate(call.reads)
            for o, write in enumerate(call.writes)
            if program.tensors[read].bytes == program.tensors[write].bytes
        }
        for call in program.calls
    }


class Memory:
    """The bytes of everything that a layout places."""

    def __init__(self, program: Program, layout: Layout) -> None:
        self.layout = layout
        self.arrays = {
            "inputs": [np.full(t.bytes, 255, "uint8") for t in program.tensors if t.input is not None],
            "outputs": [np.full(program.tensors[t].bytes, 255, "uint8") for t in program.outputs],
            "weights": [np.full(layout.weights_bytes, 255, "uint8")],
            "workspace": [np.full(plan.size, 255, "uint8") for plan in layout.plans.values()],
        }

    def at(self, place: Place, size: int) -> np.ndarray:
        view = self.arrays[place.memory][place.number][place.at : place.at + size]
        assert view.size == size
        return view


def execute(program: Program, sharing: Sharing, layout: Layout, work: list[Work]) -> None:
    """Let every tensor be filled with its own number, or with its parts, and every read find it."""
    memory, content = Memory(program, layout), {}

    def where(index: int) -> np.ndarray:
        return memory.at(layout.places[index], program.tensors[index].bytes)

    for index, tensor in enumerate(program.tensors):
        if not tensor.computed:
            content[index] = np.full(tensor.bytes, index, "uint8") if tensor.data is None else tensor.data
            where(index)[:] = content[index]
            assert tensor.input is None or layout.inputs[tensor.input] == layout.places[index]
    for step, call in enumerate(program.calls):
        for place, size in zip(layout.scratch[step], work[step].scratch, strict=True):
            memory.at(place, size)[:] = 254
        for index in call.reads:
            assert np.array_equal(where(index), content[index])
        for index in call.writes:
            content[index] = np.full(program.tensors[index].bytes, index, "uint8")
            if sharing.parts[step]:
                content[index] = np.concatenate([content[read] for read in call.reads])
                for i, at in sharing.parts[step].items():
                    read = call.reads[i]
                    whole, own = layout.places[index], layout.places[read]
                    if own != replace(whole, at=whole.at + at):
                        where(index)[at : at + content[read].size] = where(read)
            else:
                where(index)[:] = content[index]
            assert np.array_equal(where(index), content[index])
    for number, index in layout.copies:
        memory.at(layout.outputs[number], content[index].size)[:] = where(index)
    for place, index in zip(layout.outputs, program.outputs, strict=True):
        assert np.array_equal(memory.at(place, content[index].size), content[index])


UNLIMITED = [Region("memory", None)]


@settings(max_examples=600)
@given(programs(), st.booleans(), st.sampled_from(["caller", "workspace"]), st.data())
def test_every_read_finds_what_was_written(
    made: tuple[Program, dict[str, dict[int, int]]], in_place: bool, io: IoMemory, data: st.DataObject
) -> None:
    program, parts = made
    pairs = all_pairs(program) if in_place else {}
    sharing = share(program, pairs, parts, own_inputs=io == "workspace")
    work = [some_work(call, data) for call in program.calls]
    small = Region("fast", data.draw(st.sampled_from([0, 1])))
    layout = lay_out(program, sharing, work, 8, data.draw(st.sampled_from([UNLIMITED, [small, *UNLIMITED]])), io)
    whole = [p for p, (root, at) in zip(layout.places, sharing.groups, strict=True) if not at]
    assert all(place.at % 8 == 0 for place in whole if place.memory in ("weights", "workspace"))
    assert all(plan.size <= small.kib << 10 for region, plan in layout.plans.items() if region == "fast")
    execute(program, sharing, layout, work)


def some_work(call: Call, data: st.DataObject) -> Work:
    scratch = tuple(data.draw(st.lists(st.integers(0, 400), max_size=2)))
    tensors = len(call.reads) + len(call.writes) + len(scratch)
    return Work(scratch, tuple(data.draw(st.lists(st.integers(0, 999), min_size=tensors, max_size=tensors))))


def chain(*, twice: bool) -> Program:
    """x -> a -> b -> y, all of one size; twice: the second kernel reads ``a`` in both operands."""
    tensors = (Tensor("x", 64, input=0), Tensor("a", 64), Tensor("b", 64), Tensor("y", 64))
    second = Call("k1", (1, 1) if twice else (1,), (2,))
    return Program(tensors, (Call("k0", (0,), (1,)), second, Call("k2", (2,), (3,))), (3,), {})


def planned(program: Program, sharing: Sharing, io: IoMemory = "caller") -> Layout:
    return lay_out(program, sharing, [Work()] * len(program.calls), 8, UNLIMITED, io)


def test_chain_in_place_needs_no_workspace() -> None:
    program = chain(twice=False)
    layout = planned(program, share(program, all_pairs(program), {}))
    assert layout.workspace_bytes == 0, "everything is computed in the output"
    assert planned(program, share(program, {}, {})).workspace_bytes == 128


def test_chain_of_inputs_that_may_be_overwritten() -> None:
    program = chain(twice=False)
    layout = planned(program, share(program, all_pairs(program), {}, own_inputs=True), "workspace")
    assert layout.workspace_bytes == 64, "input and output are one piece of memory"
    assert layout.inputs == layout.outputs == (Place("workspace", 0, 0),)


def test_input_is_never_overwritten_nor_an_operand_read_twice() -> None:
    program = chain(twice=True)
    assert share(program, all_pairs(program), {}).over == ({}, {}, {0: 0})


def beside(*, kept: bool) -> Program:
    """x -> a, x -> b; [a, b] -> c; c -> y. kept: the model gives a, too."""
    tensors = (Tensor("x", 64, input=0), Tensor("a", 24), Tensor("b", 40), Tensor("c", 64), Tensor("y", 64))
    calls = (Call("k", (0,), (1,)), Call("k", (0,), (2,)), Call("concat", (1, 2), (3,)), Call("k", (3,), (4,)))
    return Program(tensors, calls, (4, 1) if kept else (4,), {})


def test_parts_are_computed_in_their_place() -> None:
    program = beside(kept=False)
    sharing = share(program, {}, {"concat": {0: 0, 1: 24}})
    layout = planned(program, sharing)
    assert layout.workspace_bytes == 64
    a, b, c = layout.places[1:4]
    assert (a, b) == (c, replace(c, at=c.at + 24))


def test_part_that_is_an_output_stays_with_the_caller() -> None:
    program = beside(kept=True)
    layout = planned(program, share(program, {}, {"concat": {0: 0, 1: 24}}))
    assert layout.places[1] == Place("outputs", 1)
    assert layout.places[2] == Place("workspace", 0, 24)


def test_part_still_needed_is_not_overwritten() -> None:
    """c may be overwritten only where a, which lies in it, is not used any more."""
    tensors = (*beside(kept=False).tensors, Tensor("z", 24))
    for late in (False, True):
        calls = (*beside(kept=False).calls, Call("last", (1,) if late else (0,), (5,)))
        program = Program(tensors, calls, (5,), {})
        sharing = share(program, {"k": {(0, 0)}}, {"concat": {0: 0, 1: 24}})
        assert sharing.over[3] == ({} if late else {0: 0})
