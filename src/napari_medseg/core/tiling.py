"""Plans that cut an image into overlapping tiles and put the results together without seams.

Strategy
--------
Along one axis, tile k covers [k * stride, k * stride + tile) with stride = tile - overlap, so at most two
tiles meet in any pixel. What is emitted is a **cell**: [k * stride, (k + 1) * stride), the last one up to the
edge of the image. A cell needs tile k and, for its first ``overlap`` pixels, tile k - 1; in d axes at most
2^d tiles. There the earlier tile fades out linearly while the later one fades in. A cell is always blended
from the same tiles in the same order, so the result has the same bits whatever is on screen.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from napari_medseg.core.errors import InputError
from napari_medseg.core.image import Box, Image
from napari_medseg.core.job import Span

Index = tuple[int, ...]
"""Place of a tile or a cell in the grid, one number per axis; both share one grid."""


class Step(NamedTuple):
    """One step of a tiled run: compute ``load``, blend ``cell``, then forget ``drop``."""

    cell: Index
    load: tuple[Index, ...]
    drop: tuple[Index, ...]


@dataclass(frozen=True)
class TilePlan:
    """Where the tiles and cells of one image lie, in pixels; made by `plan`.

    Parameters
    ----------
    shape
        Spatial shape of the image.
    tile, overlap, multiple
        Per axis; ``tile`` and ``overlap`` are multiples of ``multiple``, and overlap <= tile / 2.
    margin
        Pixels at a tile's inner edges that get no weight; the fade takes overlap - 2 * margin pixels.
        An operation that sees at most ``margin`` pixels far gives exactly the untiled result.
    """

    shape: Index
    tile: Index
    overlap: Index
    multiple: Index
    margin: Index

    @property
    def stride(self) -> Index:
        """Distance between the starts of neighbouring tiles along each axis."""
        return tuple(tile - overlap for tile, overlap in zip(self.tile, self.overlap, strict=True))

    @property
    def counts(self) -> Index:
        """Number of tiles, and of cells, along each axis."""
        sizes = zip(self.shape, self.overlap, self.stride, strict=True)
        return tuple(max(1, math.ceil((size - overlap) / stride)) for size, overlap, stride in sizes)

    def __len__(self) -> int:
        """Count the cells."""
        return math.prod(self.counts)

    def box(self, cell: Index) -> Box:
        """Region of a cell; the cells partition the image."""
        axes = zip(cell, self.stride, self.counts, self.shape, strict=True)
        return tuple(slice(k * step, size if k == count - 1 else (k + 1) * step) for k, step, count, size in axes)

    def tile_box(self, tile: Index) -> Box:
        """Region that a tile reads; it may reach past the end of the image."""
        axes = zip(tile, self.stride, self.tile, strict=True)
        return tuple(slice(k * step, k * step + size) for k, step, size in axes)

    def needed(self, cell: Index) -> tuple[Index, ...]:
        """Tiles that a cell is blended from, in fixed order."""
        spans = (range(k - 1 if k and overlap else k, k + 1) for k, overlap in zip(cell, self.overlap, strict=True))
        return tuple(itertools.product(*spans))

    def uses(self, tile: Index) -> int:
        """Count the cells that need a tile."""
        axes = zip(tile, self.counts, self.overlap, strict=True)
        return math.prod(2 if k + 1 < count and overlap else 1 for k, count, overlap in axes)

    def fade(self, axis: int) -> np.ndarray:
        """Falling weight of the earlier of two tiles over their overlap along ``axis``, float32."""
        overlap, margin = self.overlap[axis], self.margin[axis]
        rising = (np.arange(overlap, dtype=np.float32) + 0.5 - margin) / max(overlap - 2 * margin, 1)
        return 1 - np.clip(rising, 0, 1).astype(np.float32)

    def weights(self, tile: Index, cell: Index) -> np.ndarray:
        """Weight of a tile's output in each pixel of a cell, float32, of the cell's shape.

        Over the tiles `needed` by the cell they sum to 1 in every pixel.
        """
        pieces = (self._weights_along(axis, tile[axis], cell[axis]) for axis in range(len(cell)))
        return np.asarray(math.prod(np.ix_(*pieces), start=np.float32(1)))

    def _weights_along(self, axis: int, tile: int, cell: int) -> np.ndarray:
        span = self.box((0,) * axis + (cell,) + (0,) * (len(self.shape) - axis - 1))[axis]
        weights = np.full(span.stop - span.start, tile == cell, np.float32)
        if cell and tile in (cell - 1, cell):
            fade = self.fade(axis)
            weights[: len(fade)] = fade if tile < cell else 1 - fade
        return weights

    def order(self, view: Sequence[Span] | None = None) -> Iterator[Index]:
        """Cells in the order of emission: those in view from its centre outwards, then the rest row by row.

        Parameters
        ----------
        view
            First and one past the last pixel on screen along each axis; it may exceed the image.
        """
        first = self._in_view(view) if view is not None else []
        yield from first
        seen = set(first)
        yield from (cell for cell in itertools.product(*map(range, self.counts)) if cell not in seen)

    def _in_view(self, view: Sequence[Span]) -> list[Index]:
        if len(view) != len(self.shape):
            raise InputError(f"The view has {len(view)} axes, but the image has {len(self.shape)}; give one span each.")
        axes = zip(view, self.stride, self.counts, self.shape, strict=True)
        spans = [_cells_in(span, step, count, size) for span, step, count, size in axes]
        centre = [(start + stop) / 2 for start, stop in view]
        return sorted(itertools.product(*spans), key=lambda cell: (self._distance(cell, centre), cell))

    def _distance(self, cell: Index, point: Sequence[float]) -> float:
        return math.dist([(span.start + span.stop) / 2 for span in self.box(cell)], point)

    def schedule(self, view: Sequence[Span] | None = None) -> Iterator[Step]:
        """Walk `order` with the tiles to compute before each cell and to forget after it.

        Every tile is computed once; the tiles held are those on the rim of what has been emitted.
        """
        left: dict[Index, int] = {}
        for cell in self.order(view):
            tiles = self.needed(cell)
            load = tuple(tile for tile in tiles if tile not in left)
            left.update((tile, self.uses(tile)) for tile in load)
            for tile in tiles:
                left[tile] -= 1
            drop = tuple(tile for tile in tiles if not left[tile])
            for tile in drop:
                del left[tile]
            yield Step(cell, load, drop)


def _cells_in(span: Span, stride: int, count: int, size: int) -> range:
    start, stop = max(span[0], 0), min(span[1], size)
    if start >= stop:
        return range(0)
    return range(min(start // stride, count - 1), min((stop - 1) // stride, count - 1) + 1)


def plan(
    shape: Sequence[int],
    tile: int | Sequence[int] = 1024,
    overlap: int | Sequence[int] = 32,
    multiple: int | Sequence[int] = 32,
    margin: int | Sequence[int] | None = None,
) -> TilePlan:
    """Plan the tiles of an image with any number of axes; a single number holds for every axis.

    The number of tiles follows from ``tile``; then the tiles are made as small as that number allows, so
    that little is computed outside the image. An image smaller than a tile gets one tile.

    Parameters
    ----------
    shape
        Spatial shape of the image.
    tile
        Largest size of a tile in pixels; rounded up to ``multiple``.
    overlap
        Pixels that neighbouring tiles share, at most half a tile; rounded up to ``multiple``.
    multiple
        Pooling factor of the network: starts and sizes of the tiles are multiples of it.
    margin
        Pixels at a tile's inner edges that get no weight, less than half the overlap; None: a quarter of it.
    """
    if not shape or min(shape) < 1:
        raise InputError(f"An image of shape {tuple(shape)} has no pixels to cut into tiles; give one that has some.")
    given = [_per_axis(name, value, len(shape)) for name, value in (("tile", tile), ("overlap", overlap))]
    multiples = _per_axis("multiple", multiple, len(shape))
    axes = [_plan_axis(*values) for values in zip(shape, *given, multiples, strict=True)]
    tiles, overlaps = zip(*axes, strict=True)
    margins = tuple(o // 4 for o in overlaps) if margin is None else _per_axis("margin", margin, len(shape))
    margins = tuple(m if o else 0 for m, o in zip(margins, overlaps, strict=True))
    if any(m < 0 or (o and 2 * m >= o) for m, o in zip(margins, overlaps, strict=True)):
        raise InputError(f"The margin {margin} must be at least 0 and less than half the overlap {overlaps}.")
    return TilePlan(tuple(map(int, shape)), tiles, overlaps, multiples, margins)


def _per_axis(name: str, value: int | Sequence[int], ndim: int) -> Index:
    values = (value,) * ndim if isinstance(value, int | np.integer) else tuple(value)
    if len(values) != ndim:
        raise InputError(f"{name} = {values} has {len(values)} numbers, but the image has {ndim} axes; give one each.")
    return tuple(map(int, values))


def _plan_axis(size: int, tile: int, overlap: int, multiple: int) -> tuple[int, int]:
    """Tile and overlap along one axis, rounded up to ``multiple``, the tile no larger than it needs to be."""
    if tile < 1 or overlap < 0 or multiple < 1:
        raise InputError(f"tile {tile}, overlap {overlap} and multiple {multiple} must be at least 1, 0 and 1.")
    tile, overlap = _round_up(tile, multiple), _round_up(overlap, multiple)
    if size <= tile:
        return _round_up(size, multiple), 0
    if 2 * overlap > tile:
        raise InputError(f"An overlap of {overlap} needs a tile of at least {2 * overlap} pixels, but it has {tile}.")
    count = math.ceil((size - overlap) / (tile - overlap))
    smallest = math.ceil((size + (count - 1) * overlap) / count)
    return _round_up(max(smallest, 2 * overlap), multiple), overlap


def _round_up(value: int, multiple: int) -> int:
    return math.ceil(value / multiple) * multiple


def blend(plan: TilePlan, cell: Index, outputs: Mapping[Index, np.ndarray]) -> np.ndarray:
    """Put a cell together from the outputs of the tiles that it needs.

    Parameters
    ----------
    outputs
        For each tile in ``plan.needed(cell)`` an array of shape (*tile, ...), for instance (*tile, classes).

    Returns
    -------
    array of shape (*cell, ...), float32 (float64 where the outputs are), owned by the caller
    """
    return _merge(plan, cell, outputs, plan.box(cell), ())


def _merge(plan: TilePlan, cell: Index, outputs: Mapping[Index, np.ndarray], box: Box, tile: Index) -> np.ndarray:
    """Blend axis by axis; ``tile`` holds the choice for the axes that are done."""
    axis = len(tile)
    if axis == len(cell):
        inside = tuple(
            slice(span.start - origin.start, span.stop - origin.start)
            for span, origin in zip(box, plan.tile_box(tile), strict=True)
        )
        part = outputs[tile][inside]
        return np.array(part, dtype=np.result_type(part.dtype, np.float32))
    later = _merge(plan, cell, outputs, box, (*tile, cell[axis]))
    overlap = plan.overlap[axis]
    if not cell[axis] or not overlap:
        return later
    strip = (*box[:axis], slice(box[axis].start, box[axis].start + overlap), *box[axis + 1 :])
    earlier = _merge(plan, cell, outputs, strip, (*tile, cell[axis] - 1))
    shared = later[(slice(None),) * axis + (slice(overlap),)]
    # The difference form keeps a constant constant to the bit.
    shared += plan.fade(axis).reshape(-1, *(1,) * (later.ndim - axis - 1)) * (earlier - shared)
    return later


def read_padded(image: Image, box: Box, level: int = 0) -> np.ndarray:
    """Read a box that may exceed the image, which is continued by its own mirror image.

    Parameters
    ----------
    box
        One slice with start and stop per spatial axis, in pixels of ``level``; a negative start lies before
        the image.

    Returns
    -------
    array of shape (*box, channels); inside the image it may be a view of the stored one, so do not write to it
    """
    indices = [_mirrored(span, size) for span, size in zip(box, image.shape(level), strict=True)]
    inner = tuple(slice(int(index.min()), int(index.max()) + 1) for index in indices)
    array = image.read(inner, level)
    for axis, (index, span, wanted) in enumerate(zip(indices, inner, box, strict=True)):
        if span != slice(wanted.start, wanted.stop):
            array = array.take(index - span.start, axis=axis)
    return array


def _mirrored(span: slice, size: int) -> np.ndarray:
    """Return indices into an axis for a span that may exceed it; the edge is repeated (c b a | a b c)."""
    index = np.arange(span.start, span.stop) % (2 * size)
    return np.where(index < size, index, 2 * size - 1 - index)
