"""The cycle model: what each unit takes, and who waits for whom."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.backends.systolic.harness import machine
from tvmopt.errors import ArtifactError
from tvmopt.runtime.systolic import Cost, Program, costs
from tvmopt.runtime.systolic.commands import (
    Binary,
    Buffer,
    Command,
    Layer,
    Load,
    Move,
    Output,
    Permute,
    Pool,
    Quant,
    Store,
    Stream,
    Weights,
    Window,
)

S8 = Quant(1.0, 0, "int8")
X, Y, TILES = 0x1000, 0x2000, (0x0, 0x40)
WINDOW = Window(X, (1, 1, 20, 8), S8, (1, 1), (1, 1), (1, 1), (0, 0, 0, 0), (1, 20))
OUTPUT = Output(Y, 8, S8, -128, 127)


def cost(*commands: Command, **sizes: int) -> list[Cost]:
    """Costs of layers on an array of 8x8, with 4 bytes of DMA a cycle."""
    buffers = (Buffer("x", (160,)),), (Buffer("y", (160,)),)
    return costs(Program(machine(**sizes), *buffers, (), bytes(1024), commands))


def tile(buffer: int, add: bool = False, parameters: int | None = None) -> Sequence[Command]:
    return (
        Load("constants", 0, TILES[buffer], 64),
        Weights(TILES[buffer], 8, 8),
        Stream(0, 8, 0, 8, 0, 20, 0, 8, add, parameters),
    )


def test_one_tile() -> None:
    (one,) = cost(Layer("y", "matmul", 1280), WINDOW, OUTPUT, *tile(0, parameters=0x80))
    assert one.array_cycles == 8 + (20 + 8 + 8 - 2)
    assert one.stall_cycles == 64 // 4, "the first weights are waited for"
    assert one.cycles == one.array_cycles + one.stall_cycles
    assert one.utilisation == 1280 / (one.cycles * 64)
    assert (one.dram_read_bytes, one.dram_write_bytes) == (64, 0)
    assert one.chip_read_bytes == 64 + 160 + 64, "weights, activations, parameters"
    assert one.chip_write_bytes == 64 + 160, "weights, results"
    assert one.accumulator_bytes == 0, "sums of one tile leave at once"


def test_partial_sums_pass_through_the_accumulators() -> None:
    tiles = (*tile(0), *tile(1, add=True), *tile(0, add=True, parameters=0x80))
    (one,) = cost(Layer("y", "matmul", 0), WINDOW, OUTPUT, *tiles)
    assert one.accumulator_bytes == 4 * 160 * (1 + 2 + 1), "written, added to, read"


def test_two_buffers_hide_the_dma_and_one_does_not() -> None:
    layer = (Layer("y", "matmul", 0), WINDOW, OUTPUT)
    (two,) = cost(*layer, *tile(0), *tile(1), *tile(0), *tile(1))
    (one,) = cost(*layer, *tile(0), *tile(0), *tile(0), *tile(0))
    assert two.array_cycles == one.array_cycles == 4 * 42
    assert two.stall_cycles == 16, "only the first load is waited for: 16 cycles pass while a tile streams for 42"
    assert one.stall_cycles == 16, "weights leave their buffer before they stream, and are replaced meanwhile"
    (slow,) = cost(*layer, *tile(0), *tile(0), dram_bytes_per_cycle=1)
    (fast,) = cost(*layer, *tile(0), *tile(1), dram_bytes_per_cycle=1)
    assert fast.stall_cycles == 64 + (128 - (64 + 42)), "the array waits for a DMA that takes longer than a tile"
    assert slow.stall_cycles == 64 + (64 + 8 + 64 - (64 + 42)), "the second load waits for the array besides"


def test_layers_add_up_and_the_last_ends_with_its_store() -> None:
    first = (Layer("a", "matmul", 0), Load("x", 0, X, 160), WINDOW, OUTPUT, *tile(0, parameters=0x80))
    second = (Layer("y", "binary", 0), Output(Y, 8, S8, -128, 127), Binary("add", Y, (160,), S8, Y, (160,), S8))
    a, y = cost(*first, *second, Store(Y, "y", 0, 160))
    assert a.stall_cycles == (160 + 64) // 4
    assert y.vector_cycles == 160 // 8
    assert y.stall_cycles == 160 // 4
    assert y.dram_write_bytes == 160


def test_vector_unit() -> None:
    window = Window(X, (1, 4, 4, 8), S8, (2, 2), (2, 2), (1, 1), (0, 0, 0, 0), (2, 2))
    pool, move, permute = cost(
        *(Layer("a", "pool", 0), window, OUTPUT, Pool("max", False, False)),
        *(Layer("b", "concat", 0), Move(X, 4, 6, Y, 10, 0x80)),
        *(Layer("c", "permute", 0), Permute(X, (4, 5), (1, 0), Y)),
    )
    assert pool.vector_cycles == 4 * 8 * 4 // 8, "every element under every window"
    assert (pool.chip_read_bytes, pool.chip_write_bytes) == (128, 32)
    assert move.vector_cycles == 3
    assert (move.chip_read_bytes, move.chip_write_bytes) == (24 + 256, 24)
    assert permute.vector_cycles == 3


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (Load("x", 0, 64 * 1024 - 8, 16), r"bytes 65528\.\.65544 are beyond the on-chip memory of 65536"),
        (Weights(0, 9, 8), "9x8 weights are more than the array has room for"),
        (Stream(0, 8, 0, 8, 0, 33, 0, 8, False, None), "33 rows of sums are more than the accumulators have room for"),
    ],
)
def test_what_the_machine_has_no_room_for(command: Command, message: str) -> None:
    with pytest.raises(ArtifactError, match=message):
        cost(Layer("y", "matmul", 0), WINDOW, OUTPUT, command)
