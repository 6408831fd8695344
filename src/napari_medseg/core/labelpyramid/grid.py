"""Where the tiles of a label pyramid lie: arithmetic alone, no pixels."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from napari_medseg.core.edits import Box, TileKey
from napari_medseg.core.errors import InputError

Region = tuple[slice, slice]
"""Rows and columns, start and stop given."""

FINE_PX = 512
"""Shapes up to this size are edited at level 0."""
_TOP_TILES = 3
"""The coarsest level has at most so many tiles along an axis; it is kept in memory."""


def edit_level(extent_px: float) -> int:
    """Level at which a shape of ``extent_px`` pixels (of level 0, its longer side) is edited.

    0 up to `FINE_PX`, then one more for each doubling, so that a pixel of that level is less than 1/256 of the
    extent. It depends on the shape alone: a stroke has the same result at every zoom.
    """
    return ((math.ceil(extent_px) - 1) // FINE_PX).bit_length() if extent_px > 0 else 0


@dataclass(frozen=True)
class TileGrid:
    """Levels and tiles of labels of a shape (..., y, x).

    Level k has ceil(n / 2^k) pixels along y and x, in tiles of ``tile_px``; the last tile of a row or column is
    smaller. Planes count the leading axes in C order.
    """

    shape: tuple[int, ...]
    tile_px: int

    @cached_property
    def leading(self) -> tuple[int, ...]:
        """Lengths of the axes before y and x."""
        return self.shape[:-2]

    @cached_property
    def planes(self) -> int:
        """Number of planes."""
        return math.prod(self.leading)

    @cached_property
    def sizes(self) -> list[tuple[int, int]]:
        """Pixels along y and x at each level, finest first."""
        sizes = [(self.shape[-2], self.shape[-1])]
        while max(sizes[-1]) > _TOP_TILES * self.tile_px:
            height, width = sizes[-1]
            sizes.append((-(-height // 2), -(-width // 2)))
        return sizes

    @cached_property
    def counts(self) -> list[tuple[int, int]]:
        """Tiles along y and x at each level."""
        return [(-(-height // self.tile_px), -(-width // self.tile_px)) for height, width in self.sizes]

    @cached_property
    def top(self) -> int:
        """The coarsest level."""
        return len(self.sizes) - 1

    def check_plane(self, plane: int) -> None:
        """Refuse a plane that does not exist."""
        if not 0 <= plane < self.planes:
            raise InputError(f"Plane {plane} does not exist: labels of shape {self.shape} have {self.planes} planes.")

    def check_level(self, level: int) -> None:
        """Refuse a level that does not exist."""
        if not 0 <= level <= self.top:
            raise InputError(f"Level {level} does not exist: labels of shape {self.shape} have levels 0 to {self.top}.")

    def check_key(self, key: TileKey) -> None:
        """Refuse a tile that lies outside."""
        inside = 0 <= key.plane < self.planes and 0 <= key.level <= self.top
        rows, columns = self.counts[key.level] if inside else (0, 0)
        if not (0 <= key.row < rows and 0 <= key.column < columns):
            raise InputError(f"{key} lies outside labels of shape {self.shape}: they belong to another image.")

    def extent(self, key: TileKey) -> tuple[int, int]:
        """Height and width of a tile in its own pixels."""
        height, width = self.sizes[key.level]
        side = self.tile_px
        return min(side, height - key.row * side), min(side, width - key.column * side)

    def area(self, key: TileKey) -> Region:
        """Where a tile lies, in pixels of its level."""
        height, width = self.extent(key)
        top, left = key.row * self.tile_px, key.column * self.tile_px
        return slice(top, top + height), slice(left, left + width)

    def in_parent(self, key: TileKey) -> Region:
        """Where a tile lies in its parent's tile, in the parent's pixels."""
        height, width = self.extent(key)
        half = self.tile_px // 2
        top, left = key.row % 2 * half, key.column % 2 * half
        return slice(top, top + -(-height // 2)), slice(left, left + -(-width // 2))

    def children(self, key: TileKey) -> Iterator[TileKey]:
        """Up to four tiles of the next finer level, whether stored or not; none at level 0."""
        if not key.level:
            return
        rows, columns = self.counts[key.level - 1]
        for row, column in itertools.product((2 * key.row, 2 * key.row + 1), (2 * key.column, 2 * key.column + 1)):
            if row < rows and column < columns:
                yield TileKey(key.plane, key.level - 1, row, column)

    def pieces(self, level: int, region: Region, plane: int) -> Iterator[tuple[TileKey, Region, Region]]:
        """Cut a region of a level at the tiles: (tile, part in the tile's pixels, part in the region's)."""
        rows, columns = (list(self._cuts(span)) for span in region)
        for (row, y, from_y), (column, x, from_x) in itertools.product(rows, columns):
            yield TileKey(plane, level, row, column), (y, x), (from_y, from_x)

    def _cuts(self, span: slice) -> Iterator[tuple[int, slice, slice]]:
        side = self.tile_px
        if span.start >= span.stop:
            return
        for index in range(span.start // side, -(-span.stop // side)):
            start, stop = max(span.start, index * side), min(span.stop, (index + 1) * side)
            yield index, slice(start - index * side, stop - index * side), slice(start - span.start, stop - span.start)

    def base_box(self, level: int, region: Region, plane: int) -> Box:
        """A region of a level as a box in pixels of level 0, with the leading axes."""
        index = np.unravel_index(plane, self.leading) if self.leading else ()
        spans = zip(region, self.sizes[0], strict=True)
        flat = ((span.start << level, min(span.stop << level, size)) for span, size in spans)
        return (*((int(i), int(i) + 1) for i in index), *flat)


def parent(key: TileKey) -> TileKey:
    """The tile of the next coarser level that covers a tile."""
    return TileKey(key.plane, key.level + 1, key.row >> 1, key.column >> 1)


def joined(a: Box | None, b: Box | None) -> Box | None:
    """Smallest box around two."""
    if a is None or b is None:
        return a or b
    return tuple((min(p[0], q[0]), max(p[1], q[1])) for p, q in zip(a, b, strict=True))


def around(a: Region, b: Region) -> Region:
    """Smallest region around two."""
    (y, x), (v, u) = a, b
    return (
        slice(min(y.start, v.start), max(y.stop, v.stop)),
        slice(min(x.start, u.start), max(x.stop, u.stop)),
    )


def whole(shape: tuple[int, int]) -> Region:
    """All of an array."""
    height, width = shape
    return slice(0, height), slice(0, width)


def shape_of(region: Region) -> tuple[int, int]:
    """Height and width of a region."""
    return region[0].stop - region[0].start, region[1].stop - region[1].start


def clip(start: int, length: int, size: int) -> tuple[slice, slice]:
    """The part of an axis that a span covers, and which part of the span that is."""
    first = min(max(start, 0), size)
    stop = max(first, min(start + length, size))
    return slice(first, stop), slice(first - start, stop - start)
