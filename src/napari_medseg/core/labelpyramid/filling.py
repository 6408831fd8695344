"""Flood fill at the resolution of level 0, whatever its extent, without ever making level 0."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from napari_medseg.core.edits import TileKey
from napari_medseg.core.labelpyramid.grid import Region, parent, whole
from napari_medseg.core.labelpyramid.operation import Operation
from napari_medseg.core.labelpyramid.store import TileStore

Seeds = tuple[np.ndarray, np.ndarray]
"""Rows and columns of pixels in a leaf."""


def flood(operation: Operation, point: tuple[int, int], value: int, plane: int) -> None:
    """Give the pixels of one label that hang together with ``point``, by their sides, another label.

    Strategy
    --------
    The finest tiles that exist cut the plane into **leaves**: tiles of level 0, and quadrants of coarser tiles that
    have no tile of their own. In a leaf each pixel is uniform at level 0, so its connected parts are exact at its own
    resolution. Beginning with the point's leaf, flood each leaf from its seeds, write the new label at once (which
    keeps a second visit from finding the same pixels again), and pass on what reaches a side, as seeds, to the
    leaves across it. No tile is created or taken away, so the leaves stay.

    Cost follows the number of leaves that the region reaches, not its area.
    """
    leaves = Leaves(operation.store, plane)
    start = leaves.at(*point)
    region, level = leaves.area(start), leaves.level(start)
    here = (np.array([(point[0] >> level) - region[0].start]), np.array([(point[1] >> level) - region[1].start]))
    old = leaves.pixels(start)[here][0]
    waiting: dict[TileKey, list[Seeds]] = defaultdict(list, {start: [here]})
    while waiting and old != value:
        leaf, seeds = waiting.popitem()
        rows, columns = (np.concatenate(part) for part in zip(*seeds, strict=True))
        reached = connected(leaves.pixels(leaf) == old, rows, columns)
        if reached.any():
            operation.assign(*leaves.home(leaf), value, reached)
            for neighbour, found in _across(leaves, leaf, reached):
                waiting[neighbour].append(found)


class Leaves:
    """The leaves of one plane. A leaf is named by the tile that is, or would be, in its place."""

    def __init__(self, store: TileStore, plane: int) -> None:
        self.store = store
        self.grid = store.grid
        self._plane = plane

    def at(self, row: int, column: int) -> TileKey:
        """The leaf at a pixel of level 0."""
        row, column = row // self.grid.tile_px, column // self.grid.tile_px
        for level in range(self.grid.top, -1, -1):
            key = TileKey(self._plane, level, row >> level, column >> level)
            if not self.store.present(key):
                return key
        return key

    def level(self, leaf: TileKey) -> int:
        """Level of the leaf's pixels."""
        return 0 if self.store.present(leaf) else leaf.level + 1

    def home(self, leaf: TileKey) -> tuple[TileKey, Region]:
        """The tile that holds the leaf's pixels, and where in it."""
        if self.store.present(leaf):
            return leaf, whole(self.grid.extent(leaf))
        return parent(leaf), self.grid.in_parent(leaf)

    def pixels(self, leaf: TileKey) -> np.ndarray:
        """The leaf's pixels, a view."""
        key, region = self.home(leaf)
        return self.store.tile(key)[region]

    def area(self, leaf: TileKey) -> Region:
        """Where the leaf lies, in its own pixels."""
        key, region = self.home(leaf)
        y, x = (
            slice(area.start + span.start, area.start + span.stop)
            for area, span in zip(self.grid.area(key), region, strict=True)
        )
        return y, x


def _across(leaves: Leaves, leaf: TileKey, reached: np.ndarray) -> Iterator[tuple[TileKey, Seeds]]:
    """Seeds in the leaves around one, opposite to the pixels reached along its four sides."""
    area, level = leaves.area(leaf), leaves.level(leaf)
    for axis in (0, 1):
        along = area[1 - axis]
        for edge, outside in ((0, (area[axis].start << level) - 1), (-1, area[axis].stop << level)):
            starts = (np.flatnonzero(reached.take(edge, axis)) + along.start) << level
            if starts.size and 0 <= outside < leaves.grid.sizes[0][axis]:
                yield from _beside(leaves, axis, outside, starts, 1 << level)


def _beside(leaves: Leaves, axis: int, outside: int, starts: np.ndarray, width: int) -> Iterator[tuple[TileKey, Seeds]]:
    """Leaves along a line, with the pixels of theirs that touch pieces of it; all in pixels of level 0.

    Parameters
    ----------
    axis, outside
        The line: y (axis 0) or x (axis 1) is ``outside``.
    starts, width
        The pieces along it, in ascending order.
    """
    size = leaves.grid.sizes[0][1 - axis]
    at = int(starts[0])
    while True:
        leaf = leaves.at(outside, at) if axis == 0 else leaves.at(at, outside)
        area, level = leaves.area(leaf), leaves.level(leaf)
        first, stop = area[1 - axis].start, area[1 - axis].stop
        end = min(stop << level, size)
        touching = starts[(starts < end) & (starts + width > first << level)]
        found = (touching[:, None] >> level) + np.arange(max(1, width >> level))
        along = np.unique(found.clip(first, stop - 1)) - first
        across = np.full(along.shape, (outside >> level) - area[axis].start)
        yield leaf, (across, along) if axis == 0 else (along, across)
        later = starts[starts + width > end]
        if not later.size or end == size:
            return
        at = max(int(later[0]), end)


def connected(mask: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """The part of ``mask`` that hangs together, by the pixels' sides, with any of the seeds; of its shape.

    Strategy
    --------
    Work on runs, the stretches of a row without a gap, of which there are some hundreds where there are hundreds of
    thousands of pixels: five times as fast as labelling pixels. In the flattened mask, with a gap after each row,
    runs are intervals in ascending order; shifted by a row, they meet the runs below in ranges of indices.
    """
    height, width = mask.shape
    flat = np.zeros((height, width + 1), bool)
    flat[:, :width] = mask
    flat = flat.ravel()
    seeds = rows * (width + 1) + columns
    seeds = seeds[flat[seeds]]
    if not seeds.size or mask.all():
        return mask & bool(seeds.size)
    borders = np.flatnonzero(np.diff(flat, prepend=False))
    starts, stops = borders[::2], borders[1::2]
    below = np.searchsorted(stops, starts + width + 1, side="right")
    counts = np.maximum(np.searchsorted(starts, stops + width + 1, side="left") - below, 0)
    above = np.repeat(np.arange(starts.size), counts)
    within = np.arange(above.size) - np.repeat(np.cumsum(counts) - counts, counts)
    pairs = (above, np.repeat(below, counts) + within)
    graph = coo_array((np.ones(above.size, np.int8), pairs), shape=(starts.size, starts.size))
    _, part = connected_components(graph, directed=False)
    hit = np.isin(part, part[np.searchsorted(starts, seeds, side="right") - 1])
    lengths = np.diff(borders, prepend=0, append=flat.size)
    inside = np.zeros(lengths.size, bool)
    inside[1::2] = hit
    return np.repeat(inside, lengths).reshape(height, width + 1)[:, :width]
