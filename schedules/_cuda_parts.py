"""A contraction taken apart, so that a kernel for a GPU can be written anew from what it computes with."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

from tvm import tirx
from tvm.s_tir import SBlock, Schedule
from tvm.tirx import Buffer, PrimFunc
from tvm_ffi import structural_map

from ._cuda_cost import Shape
from ._tir import Expr, at, substitute, unravel, uses

COPIES = ("view", "stage", "pack")
"""Blocks that bring elements to where they are multiplied: done as they are copied."""


@dataclass(frozen=True, eq=False)
class Parts:
    """What a contraction is made of.

    Attributes
    ----------
    func        : it.
    annotations : of its root block.
    lead, space : extents of the axes of places: those on which the weight depends, and those that are rows.
    blocks      : of 32 channels.
    taps, own_steps : extents of the reduction: taps, and steps of each.
    x, w        : the factors that meet at ``axes``, 8 bits.
    axes        : variables of ``acc``: places, block, lane, taps, step, inner.
    positions   : of pairs, where they were; else None.
    sums        : what ``out`` reads: sums of products,
    row_sums, column_sums, other : and, where it does, of the factors' rows and columns; another tensor.
    out         : the block that gives the output.
    """

    func: PrimFunc
    annotations: dict[str, Any]
    lead: list[int]
    space: list[int]
    blocks: int
    taps: list[int]
    own_steps: int
    x: Expr
    w: Expr
    axes: list[Any]
    positions: Buffer | None
    sums: Buffer
    row_sums: Buffer | None
    column_sums: Buffer | None
    other: Buffer | None
    out: SBlock

    @staticmethod
    def of(func: PrimFunc) -> Parts:
        """The parts of a contraction."""
        sch = Schedule(func)
        annotations = dict(sch.get(sch.get_sblock("root")).annotations)
        for block in sch.get_child_blocks(sch.get_sblock("root")):
            if sch.get(block).name_hint.startswith(COPIES):
                sch.compute_inline(block)
        acc, out = (sch.get(sch.get_sblock(name)) for name in ("acc", "out"))
        sums = acc.writes[0].source
        *places, blocks, _ = (int(extent) for extent in sums.shape)
        product = acc.body.value.b
        axes = [axis.var for axis in acc.iter_vars]
        w = product.b.value
        batched = any(uses(w, place) for place in axes[: len(places)])
        lead = len(places) - 1 if batched else 0
        *taps, own_steps, _ = (int(axis.dom.extent) for axis in acc.iter_vars[len(places) + 2 :])
        read = {buffer.name: buffer for buffer in (region.source for region in [*acc.reads, *out.reads])}
        optional = (read.get(name) for name in ("row_sums", "column_sums", "other"))
        return Parts(
            sch.mod["main"],
            annotations,
            places[:lead],
            places[lead:],
            blocks,
            taps,
            own_steps,
            _plain(product.a.value),
            _plain(w),
            axes,
            read.get("positions"),
            sums,
            *optional,
            out,
        )

    @property
    def rows(self) -> int:
        """Of every batch."""
        return prod(self.space)

    @property
    def steps(self) -> int:
        """Of 32 stored weights of a channel."""
        return prod(self.taps) * self.own_steps

    @property
    def shape(self) -> Shape:
        """What the choice of a tile is told."""
        pairs, block = self.positions is not None, self.axes[len(self.lead) + len(self.space)]
        x = anywhere(self.x, tirx.const(0)) if pairs else self.x
        size = prod(self.lead), self.rows, self.blocks * int(self.sums.shape[-1]), self.steps
        return Shape(*size, uses(x, block), pairs, str(self.w.ty.dtype) == "uint8")

    def place(self, batch: Expr, row: Expr) -> list[Expr]:
        """The index of a place."""
        return [*unravel(batch, self.lead), *unravel(row, self.space)]

    def x_at(self, batch: Expr, row: Expr, block: Expr, step: Expr, k: Expr) -> Expr:
        """What a row has at one of the elements that a step reads; which channels ask matters by group only."""
        if self.positions is None:
            return self._at(self.x, batch, row, block, 0, step, k)
        # all of x is read: its k is that of the four, and for the position in it, which a weight gives, any
        return self._at(anywhere(self.x, k % 4), batch, row, block, 0, step, k // 4 * 2)

    def w_at(self, batch: Expr, block: Expr, lane: Expr, step: Expr, k: Expr) -> Expr:
        """What a channel has."""
        return self._at(self.w, batch, 0, block, lane, step, k)

    def positions_at(self, block: Expr, lane: Expr, step: Expr) -> Expr:
        """Where the words begin that tell where a channel's pairs were."""
        assert self.positions is not None
        taps = unravel(step // self.own_steps, self.taps)
        return at(self.positions, block, *taps, step % self.own_steps, lane, 0)

    def _at(self, value: Expr, batch: Expr, row: Expr, block: Expr, lane: Expr, step: Expr, k: Expr) -> Expr:
        taps = unravel(step // self.own_steps, self.taps)
        index = [*self.place(batch, row), block, lane, *taps, step % self.own_steps, k]
        return substitute(value, dict(zip(self.axes, index, strict=True)))


def _plain(value: Expr) -> Expr:
    """``value`` without the detour of bytes by way of 32 bits."""

    def direct(cast: Expr) -> Expr:
        own = cast.value.value if isinstance(cast.value, tirx.Cast) else None
        return own if own is not None and str(own.ty.dtype) == str(cast.ty.dtype) else cast

    return structural_map(value, [(tirx.Cast, direct)])


def anywhere(x: Expr, position: Expr) -> Expr:
    """What pairs meet, at a given position of every four for the one that the weight gives."""
    return structural_map(x, [(tirx.BitwiseAnd, lambda _: position)])


def guarded(value: Expr) -> tuple[Expr, Expr, int | None]:
    """The conditions under which a value is read, what is read, and what it is otherwise (None: no conditions)."""
    if not (hasattr(value, "op") and value.op.name.endswith("if_then_else")):
        return tirx.const(True), value, None
    condition, then, otherwise = value.args
    inner, source, same = guarded(then)
    if not isinstance(otherwise, tirx.IntImm) or same not in (None, int(otherwise.value)):
        return tirx.const(True), value, None
    return tirx.all(condition, inner), source, int(otherwise.value)
