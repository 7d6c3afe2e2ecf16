"""What a systolic accelerator is told to do: its commands, their text form and their machine form (MessagePack).

Addresses are bytes of the on-chip memory. Tensors lie there with their channels last; "pixels" are all other axes.
"""

from __future__ import annotations

import math
from typing import Literal

import msgspec

from ...errors import ArtifactError
from ...target import Systolic

FORMAT = 1
"""Version of the machine form."""

PARAMETERS = 8
"""Bytes of the multiplier and the bias of a column."""

Dtype = Literal["int8", "uint8"]
Pair = tuple[int, int]
Shape = tuple[int, ...]


class Quant(msgspec.Struct, frozen=True, array_like=True):
    """Scale (a float32), zero point and dtype of a tensor."""

    scale: float
    zero_point: int
    dtype: Dtype

    def __str__(self) -> str:
        return f"{self.dtype}({self.scale:.6g}, {self.zero_point})"


class Layer(msgspec.Struct, frozen=True, array_like=True, tag="layer"):
    """What follows computes a tensor of the model; takes no time.

    macs : multiply-accumulates that the model asks for.
    """

    name: str
    kind: str
    macs: int

    def __str__(self) -> str:
        return f"layer    {self.name}: {self.kind}, {self.macs} MACs"


class Load(msgspec.Struct, frozen=True, array_like=True, tag="load"):
    """DRAM at ``offset`` of ``buffer`` -> on-chip memory.

    flip : the top bit of every byte, between the int8 that a host hands over and the uint8 that it stands for.
    """

    buffer: str
    offset: int
    to: int
    size: int
    flip: bool = False

    def __str__(self) -> str:
        return f"load     {self.buffer}+{self.offset} {self.size} -> {self.to:#x}{' flip' if self.flip else ''}"


class Store(msgspec.Struct, frozen=True, array_like=True, tag="store"):
    """On-chip memory -> DRAM at ``offset`` of ``buffer``. flip : as of ``Load``."""

    at: int
    buffer: str
    offset: int
    size: int
    flip: bool = False

    def __str__(self) -> str:
        return f"store    {self.at:#x} -> {self.buffer}+{self.offset} {self.size}{' flip' if self.flip else ''}"


class Window(msgspec.Struct, frozen=True, array_like=True, tag="window"):
    """The tensor that the next commands read, and how a window slides over it. Takes no time.

    shape   : [batch, height, width, channels].
    padding : top, left, bottom, right; borders hold the zero point.
    out     : window positions down and across.
    """

    at: int
    shape: tuple[int, int, int, int]
    quant: Quant
    kernel: Pair
    strides: Pair
    dilations: Pair
    padding: tuple[int, int, int, int]
    out: Pair

    @property
    def size(self) -> int:
        """Bytes of the tensor."""
        return math.prod(self.shape)

    @property
    def pixels(self) -> int:
        """Window positions."""
        return self.shape[0] * math.prod(self.out)

    def __str__(self) -> str:
        steps = f"strides {_by(self.strides)} dilations {_by(self.dilations)} padding {_by(self.padding)}"
        return (
            f"window   {self.at:#x} {_by(self.shape)} {self.quant} kernel {_by(self.kernel)} {steps} -> {_by(self.out)}"
        )


class Output(msgspec.Struct, frozen=True, array_like=True, tag="output"):
    """The tensor [pixels, channels] that the next commands write, values limited to low..high. Takes no time."""

    to: int
    channels: int
    quant: Quant
    low: int
    high: int

    def __str__(self) -> str:
        return f"output   {self.to:#x} channels {self.channels} {self.quant} in {self.low}..{self.high}"


class Weights(msgspec.Struct, frozen=True, array_like=True, tag="weights"):
    """On-chip int8 [rows, columns] -> the array, where they stay until the next ``weights``."""

    at: int
    rows: int
    columns: int

    def __str__(self) -> str:
        return f"weights  {self.at:#x} {self.rows}x{self.columns}"


class Stream(msgspec.Struct, frozen=True, array_like=True, tag="stream"):
    """Window positions pass through the array, one a cycle: sums int32 [pixels, columns].

    Of a position's elements in the order (tap, channel), with the channels ``channel .. channel + channels`` only,
    those from ``row`` on enter the array's rows. Operands are int8: of unsigned tensors the top bit is flipped.

    pixel, pixels : window positions.
    column        : output channel of the array's first column.
    add           : sums are added to those in the accumulators, else they replace them.
    parameters    : None keeps the sums in the accumulators. Else they leave for the output: float32 multipliers
                    [columns], then int32 biases [columns], lie there;
                    ``saturate(round_half_even(float32(sum + bias) * multiplier) + zero_point)``.
    """

    channel: int
    channels: int
    row: int
    rows: int
    pixel: int
    pixels: int
    column: int
    columns: int
    add: bool
    parameters: int | None

    def __str__(self) -> str:
        operand = (
            f"channels {self.channel}+{self.channels} rows {self.row}+{self.rows} pixels {self.pixel}+{self.pixels}"
        )
        leaves = "" if self.parameters is None else f" -> columns {self.column}+{self.columns} by {self.parameters:#x}"
        return f"stream   {operand} {'add' if self.add else 'set'}{leaves}"


class Pool(msgspec.Struct, frozen=True, array_like=True, tag="pool"):
    """Maximum ("max") or average of every window position, channel by channel, on the vector unit."""

    op: str
    ceil_mode: bool
    count_padding: bool

    def __str__(self) -> str:
        return (
            f"pool     {self.op}{' ceil' if self.ceil_mode else ''}{' counting padding' if self.count_padding else ''}"
        )


class Binary(msgspec.Struct, frozen=True, array_like=True, tag="binary"):
    """Elementwise "add", "sub" or "mul" on the vector unit, with broadcasting, to the ``output``."""

    op: str
    a: int
    a_shape: Shape
    a_quant: Quant
    b: int
    b_shape: Shape
    b_quant: Quant

    def __str__(self) -> str:
        left = f"{self.a:#x} {_by(self.a_shape)} {self.a_quant}"
        return f"binary   {self.op} {left}, {self.b:#x} {_by(self.b_shape)} {self.b_quant}"


class Move(msgspec.Struct, frozen=True, array_like=True, tag="move"):
    """Bytes [rows, columns] on chip -> rows that are ``pitch`` bytes apart, through 256 bytes at ``table`` if given.

    table : is indexed by the byte, whatever dtype it stands for.
    """

    at: int
    rows: int
    columns: int
    to: int
    pitch: int
    table: int | None

    def __str__(self) -> str:
        through = "" if self.table is None else f" by {self.table:#x}"
        return f"move     {self.at:#x} {self.rows}x{self.columns} -> {self.to:#x} pitch {self.pitch}{through}"


class Permute(msgspec.Struct, frozen=True, array_like=True, tag="permute"):
    """Bytes of ``shape`` on chip -> the same with its axes in the order ``axes``."""

    at: int
    shape: Shape
    axes: Shape
    to: int

    def __str__(self) -> str:
        return f"permute  {self.at:#x} {_by(self.shape)} axes {_by(self.axes)} -> {self.to:#x}"


Command = Layer | Load | Store | Window | Output | Weights | Stream | Pool | Binary | Move | Permute


class Buffer(msgspec.Struct, frozen=True, array_like=True):
    """An int8 tensor in DRAM, as the host hands it over (see ``quant.subgraphs``)."""

    name: str
    shape: Shape

    @property
    def size(self) -> int:
        """Bytes."""
        return math.prod(self.shape)


class Program(msgspec.Struct, frozen=True):
    """What one call of an accelerator does.

    Attributes
    ----------
    machine   : what it was made for.
    inputs    : DRAM buffers that are given.
    outputs   : DRAM buffers that are computed.
    spills    : DRAM buffers for tensors that the on-chip memory has no room for.
    constants : DRAM buffer "constants": weights, parameters, tables.
    commands  : in order.
    """

    machine: Systolic
    inputs: tuple[Buffer, ...]
    outputs: tuple[Buffer, ...]
    spills: tuple[Buffer, ...]
    constants: bytes
    commands: tuple[Command, ...]
    format: int = FORMAT

    def encode(self) -> bytes:
        """The machine form."""
        return msgspec.msgpack.encode(self)

    @staticmethod
    def decode(data: bytes) -> Program:
        """Read the machine form. Raises ArtifactError where it is none, or of another version."""
        try:
            version = msgspec.msgpack.decode(data, type=_Version).format
            if version == FORMAT:
                return msgspec.msgpack.decode(data, type=Program)
        except msgspec.MsgspecError as error:
            raise ArtifactError(f"is not a command stream: {error}") from None
        raise ArtifactError(f"has command stream format {version}, this tvmopt has {FORMAT}")

    def text(self) -> str:
        """The text form: one line per command."""
        machine = self.machine
        head = [
            f"# array {machine.rows}x{machine.columns}, {machine.clock_mhz} MHz, {machine.memory_kib} KiB on chip",
            *(f"# input {_buffer(buffer)}" for buffer in self.inputs),
            *(f"# output {_buffer(buffer)}" for buffer in self.outputs),
            *(f"# spill {_buffer(buffer)}" for buffer in self.spills),
            f"# constants {len(self.constants)} bytes",
        ]
        return "\n".join([*head, *map(str, self.commands), ""])


class _Version(msgspec.Struct):
    format: int


def _by(sizes: Shape) -> str:
    return "x".join(map(str, sizes))


def _buffer(buffer: Buffer) -> str:
    return f"{buffer.name}: {_by(buffer.shape)}"
