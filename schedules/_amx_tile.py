"""What AMX multiplies for a contraction, and the tiles for which a model of Sapphire Rapids says the fewest cycles."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil, prod

from tvm import tirx
from tvm.s_tir import Schedule
from tvm.sym import Analyzer
from tvm.tirx.analysis import undefined_vars

from ._common import Decisions
from ._tir import Expr, flat, substitute

LANES = 16
"""Outputs of a tile, 4 bytes each."""

ROWS = 16
"""Of a tile. A row has 64 bytes: 16 steps of 4 elements of the input, or one step of 16 outputs' weights."""

SUMS = 4
"""Tiles of sums, of the eight; the others hold what is multiplied."""

LATENCY = 52
"""Cycles from a tdpbusd to the next one on the same sums; one takes a cycle for each row of its sums (optimization
manual, volume 1, chapter on AMX: 16 of them at full size, two rows loaded and one stored in a cycle)."""

MARGIN = 0.75
"""Tiles must take less than this part of the cycles of vectors, whose speed was measured and is no estimate."""

L2_BYTES = 2 * 1024 * 1024


@dataclass(frozen=True)
class Lines:
    """Places of the output whose inputs lie at one distance from each other: rows of images, or whole images.

    Attributes
    ----------
    axes   : innermost axes of the space that a line takes in, 1 or 2.
    count  : of lines.
    length : places of a line; all of those of a row, and between rows what a window covers beyond its end.
    pitch  : places from one row to the next.
    valid  : places of the output in a row, which are its first ones.
    """

    axes: int
    count: int
    length: int
    pitch: int
    valid: int


@dataclass(frozen=True)
class Tile:
    """Sums that are computed together: ``high`` tiles of ``rows`` places by ``wide`` tiles of 16 outputs.

    depth  : steps of the reduction, of 4 elements, in a row of a tile.
    lines  : along which tiles lie.
    chunks : parts that places are cut into, at most, so that the input of one stays in L2 and threads have enough of
             them.
    """

    rows: int
    high: int
    wide: int
    depth: int
    lines: Lines
    chunks: int = 1

    @property
    def per_line(self) -> int:
        """Tiles of a line. Where they do not divide it the last one begins earlier, to end where the line does."""
        return ceil(self.lines.length / self.rows)

    @property
    def count(self) -> int:
        """Tiles of all lines, in groups of ``high``; the last group likewise begins earlier."""
        return self.lines.count * self.per_line


class Contraction:
    """A function's sum of products.

    Attributes
    ----------
    sums            : the buffer that has them: places, blocks, 16 outputs.
    blocks          : of 16 outputs.
    x, w            : what is multiplied, as it is read.
    block, lane, taps, step, inner : variables of that: of outputs; of the reduction.
    place           : variables of places.
    batch, space    : axes of places with more than one place, variable and extent: those that have weights of their
                      own and come first, the others.
    outer           : extents of the first taps; steps go on from one of the others to the next.
    run             : steps without a gap, in the input and in the weights.
    distance        : elements of the input from one place to the next.
    lines           : ways to see the places as lines; none where a row's elements are no neighbours in the input, or
                      places have no one distance.
    """

    def __init__(self, sch: Schedule) -> None:
        block = sch.get(sch.get_sblock("acc"))
        self.sums = block.writes[0].source
        product = block.body.value.b
        self.x, self.w = product.a.value, product.b.value
        rank = len(self.sums.shape) - 2
        axes = [(axis.var, int(axis.dom.extent)) for axis in block.iter_vars]
        places, (self.block, self.blocks), (self.lane, _) = axes[:rank], axes[rank], axes[rank + 1]
        *taps, (self.step, self.run), (self.inner, _) = axes[rank + 2 :]
        self.taps, self.outer = [var for var, _ in taps], [extent for _, extent in taps]
        self.place = [var for var, _ in places]
        weighed = {var for index in self.w.indices for var in undefined_vars(index)}
        batches = max((i + 1 for i, (var, _) in enumerate(places) if var in weighed), default=0)
        self.batch = [axis for axis in places[:batches] if axis[1] > 1]
        self.space = [axis for axis in places[batches:] if axis[1] > 1] or places[-1:]
        self._analyzer = Analyzer()
        self.lines: list[Lines] = []
        self._lay_out()

    @property
    def groups(self) -> bool:
        """Whether blocks of outputs have inputs of their own."""
        return self._distance(self.block) != 0

    @property
    def steps(self) -> int:
        """Of the whole reduction."""
        return prod(self.outer) * self.run

    @property
    def batches(self) -> int:
        """Products with weights of their own."""
        return prod(extent for _, extent in self.batch)

    @property
    def places(self) -> int:
        """Of the output of each of them."""
        return prod(extent for _, extent in self.space)

    @property
    def input_bytes(self) -> int:
        """Of each of them."""
        return prod(int(extent) for extent in self.x.source.shape) // self.batches

    def _lay_out(self) -> None:
        steps = [self._distance(var) for var in (self.inner, self.step)]
        taps = [self._distance(var) for var in self.taps]
        *above, self.distance = (self._distance(var) for var, _ in self.space)
        if steps != [1, 4] or None in (*taps, *above, self.distance):
            return
        while self.outer and taps[len(self.outer) - 1] == 4 * self.run:
            self.run *= self.outer.pop()
        *outer, columns = (extent for _, extent in self.space)
        self.lines.append(Lines(1, prod(outer), columns, columns, columns))
        if outer and above[-1] % self.distance == 0 and above[-1] // self.distance >= columns:
            pitch = above[-1] // self.distance
            self.lines.append(Lines(2, prod(outer[:-1]), (outer[-1] - 1) * pitch + columns, pitch, columns))

    def _distance(self, var: Expr) -> int | None:
        """Elements of the input from one value of a variable to the next; None where that depends."""
        place = flat(self.x)
        moved = self._analyzer.simplify(substitute(place, {var: var + 1}) - place)
        return int(moved) if isinstance(moved, tirx.IntImm) else None


def choose(of: Contraction, decisions: Decisions, threads: int = 1) -> Tile | None:
    """The tile for a contraction, None where there is none, or vectors (vpdpbusd, two a cycle) are faster."""
    tiles = list(_tiles(of))
    if not tiles:
        return None
    best = min(tiles, key=lambda tile: (cycles(of, tile), _loads(tile)))
    if cycles(of, best) > MARGIN * of.batches * of.places * of.blocks * of.steps / 2:
        return None
    axes = decisions.pick("axes", best.lines.axes, [lines.axes for lines in of.lines])
    wide = decisions.pick("wide", best.wide, {tile.wide for tile in tiles})
    high = decisions.pick("high", best.high, range(1, SUMS + 1))
    fitting = [tile for tile in tiles if (tile.lines.axes, tile.wide) == (axes, wide) and tile.high <= high]
    most = max(1, of.places // ROWS)
    jobs = ceil(4 * threads * SUMS / (of.blocks * of.batches)) if threads > 1 else 1
    chunks = min(max(ceil(of.input_bytes / (L2_BYTES // 2)), jobs), most)
    chunks = decisions.pick("chunks", chunks, [count for count in (1, 2, 4, 8, 16) if count <= most])
    return replace(max(fitting, key=lambda tile: tile.high), chunks=chunks)


def _tiles(of: Contraction) -> Iterator[Tile]:
    depth = max(steps for steps in range(1, ROWS + 1) if of.run % steps == 0)
    for lines in of.lines:
        rows = ceil(lines.length / ceil(lines.length / ROWS))
        count = lines.count * ceil(lines.length / rows)
        for wide in (1,) if of.groups else (1, 2, 3, 4):
            for high in range(1, SUMS // wide + 1):
                if of.blocks % wide == 0 and high <= count:
                    yield Tile(rows, high, wide, depth, lines)


def cycles(of: Contraction, tile: Tile) -> float:
    """An estimate for the whole contraction, its epilogue left out."""
    sums = tile.high * tile.wide * tile.rows
    step = max(sums, _loads(tile) / 2, LATENCY)
    group = of.steps / tile.depth * step + LATENCY + sums
    return of.batches * ceil(tile.count / tile.high) * (of.blocks // tile.wide) * group


def _loads(tile: Tile) -> int:
    """Rows that a step loads."""
    return tile.high * tile.rows + tile.wide * tile.depth
