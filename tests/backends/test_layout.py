"""Placing every tensor: checked by running random programs on real bytes."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tvmopt.backends.layout import Layout, lay_out, share
from tvmopt.backends.program import Call, Program, Tensor


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Any graph of kernels with up to three operands, outputs used again, given twice, or taken from an input."""
    size = st.sampled_from([0, 8, 16, 24, 100])
    tensors = [Tensor(f"x{i}", draw(size), input=i) for i in range(draw(st.integers(1, 2)))]
    for i in range(draw(st.integers(0, 2))):
        data = np.full(draw(size), 200 + i, "uint8")
        tensors.append(Tensor(f"c{i}", data.nbytes, data=data))
    calls = []
    for step in range(draw(st.integers(0, 8))):
        known = st.integers(max(0, len(tensors) - 4), len(tensors) - 1)
        reads = tuple(draw(st.lists(known, max_size=3)))
        writes = tuple(range(len(tensors), len(tensors) + draw(st.integers(1, 2))))
        tensors += [Tensor(f"t{t}", draw(size)) for t in writes]
        calls.append(Call(f"k{step}", reads, writes))
    outputs = draw(st.lists(st.integers(0, len(tensors) - 1), min_size=1, max_size=3))
    return Program(tuple(tensors), tuple(calls), tuple(outputs), {})


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


def execute(program: Program, layout: Layout, scratch: list[tuple[int, ...]]) -> None:
    """Let every tensor be filled with its own number, and every read find it."""
    inputs = [np.full(t.bytes, i, "uint8") for i, t in enumerate(program.tensors) if t.input is not None]
    outputs = [np.full(program.tensors[t].bytes, 255, "uint8") for t in program.outputs]
    weights = np.full(layout.weights_bytes, 255, "uint8")
    workspace = np.full(layout.plan.size, 255, "uint8")

    def memory(index: int) -> np.ndarray:
        place, size = layout.places[index], program.tensors[index].bytes
        if place.memory in ("inputs", "outputs"):
            return (inputs if place.memory == "inputs" else outputs)[place.at][:size]
        return (weights if place.memory == "weights" else workspace)[place.at : place.at + size]

    def expected(index: int) -> int:
        data = program.tensors[index].data
        return index if data is None or not data.size else int(data[0])

    for index in layout.weights:
        memory(index)[:] = expected(index)
    for call, offsets, sizes in zip(program.calls, layout.scratch, scratch, strict=True):
        for at, size in zip(offsets, sizes, strict=True):
            assert at + size <= layout.plan.size
            workspace[at : at + size] = 254
        for index in call.reads:
            assert (memory(index) == expected(index)).all()
        for index in call.writes:
            memory(index)[:] = expected(index)
    for number, index in layout.copies:
        outputs[number][:] = memory(index)
    for array, index in zip(outputs, program.outputs, strict=True):
        assert (array == expected(index)).all()


@settings(max_examples=400)
@given(programs(), st.booleans(), st.data())
def test_every_read_finds_what_was_written(program: Program, in_place: bool, data: st.DataObject) -> None:
    shared = share(program, all_pairs(program) if in_place else {})
    scratch = [tuple(data.draw(st.lists(st.integers(0, 40), max_size=2))) for _ in program.calls]
    layout = lay_out(program, shared, scratch, alignment=8)
    assert all(place.at % 8 == 0 for place in layout.places if place.memory in ("weights", "workspace"))
    execute(program, layout, scratch)


def chain(*, twice: bool) -> Program:
    """x -> a -> b -> y, all of one size; twice: the second kernel reads ``a`` in both operands."""
    tensors = (Tensor("x", 64, input=0), Tensor("a", 64), Tensor("b", 64), Tensor("y", 64))
    second = Call("k1", (1, 1) if twice else (1,), (2,))
    return Program(tensors, (Call("k0", (0,), (1,)), second, Call("k2", (2,), (3,))), (3,), {})


def test_chain_in_place_needs_no_workspace() -> None:
    program = chain(twice=False)
    layout = lay_out(program, share(program, all_pairs(program)), [()] * 3, alignment=8)
    assert layout.plan.size == 0, "everything is computed in the output"
    assert lay_out(program, share(program, {}), [()] * 3, alignment=8).plan.size == 128


def test_input_is_never_overwritten_nor_an_operand_read_twice() -> None:
    program = chain(twice=True)
    assert share(program, all_pairs(program)) == [{}, {}, {0: 0}]
