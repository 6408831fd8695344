"""Painting a shape at a level, and writing an array at level 0."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np

from napari_medseg.core.edits import TileKey
from napari_medseg.core.labelpyramid.grid import Region, shape_of
from napari_medseg.core.labelpyramid.operation import Operation
from napari_medseg.core.labelpyramid.resample import doubled

_BLOCK_TILES = 4
"""`blocks` are so many tiles high and wide: few enough to stay decoded while they are brought in line."""


def stamp(operation: Operation, mask: np.ndarray, level: int, region: Region, value: int, plane: int) -> None:
    """Give the pixels under ``mask``, which covers ``region`` of ``level``, one label."""
    for key, inner, outer in operation.store.grid.pieces(level, region, plane):
        _stamp_tile(operation, mask[outer], key, inner, value)


def _stamp_tile(operation: Operation, mask: np.ndarray, key: TileKey, region: Region, value: int) -> None:
    """Paint a part of a tile where nothing finer lies below, and pass the rest on to what does.

    A finer tile under a solid part of the mask is taken away, for it would show one label; not so where the
    operation leaves some labels alone.
    """
    if not mask.any():
        return
    store = operation.store
    finer = store.present_children(key) if store.present(key) else []
    rest = mask.copy() if finer else mask
    for child in finer:
        quadrant = store.grid.in_parent(child)
        shared = _overlap(region, quadrant)
        if shared is None:
            continue
        part = rest[_within(shared, region)]
        if operation.only is None and shared == quadrant and part.all():
            # Else what follows would be compared with what the child had not passed on yet.
            operation.settle(key.level)
            store.remove(child)
            operation.changed(child)
        elif part.any():
            fine = _doubled_region(_within(shared, quadrant), store.grid.extent(child))
            _stamp_tile(operation, doubled(part, shape_of(fine)), child, fine, value)
            part[...] = False
    operation.assign(key, region, value, rest)


def _overlap(a: Region, b: Region) -> Region | None:
    y = slice(max(a[0].start, b[0].start), min(a[0].stop, b[0].stop))
    x = slice(max(a[1].start, b[1].start), min(a[1].stop, b[1].stop))
    return (y, x) if y.start < y.stop and x.start < x.stop else None


def _within(region: Region, other: Region) -> Region:
    """A region as seen from the corner of another."""
    y, x = (slice(a.start - b.start, a.stop - b.start) for a, b in zip(region, other, strict=True))
    return y, x


def _doubled_region(region: Region, extent: tuple[int, int]) -> Region:
    y, x = (slice(2 * span.start, min(2 * span.stop, size)) for span, size in zip(region, extent, strict=True))
    return y, x


def write(operation: Operation, array: np.ndarray, region: Region, plane: int, where: np.ndarray | None) -> None:
    """Put labels, which cover ``region`` of level 0, into the tree; where ``where`` holds."""
    for key, inner, outer in operation.store.grid.pieces(0, region, plane):
        operation.assign(key, inner, array[outer], None if where is None else where[outer])


def blocks(region: Region, tile_px: int) -> Iterator[Region]:
    """Cut a region along every fourth border of the tiles."""
    side = _BLOCK_TILES * tile_px
    for row, column in itertools.product(*(range(span.start // side, -(-span.stop // side)) for span in region)):
        y, x = (
            slice(max(span.start, index * side), min(span.stop, (index + 1) * side))
            for span, index in zip(region, (row, column), strict=True)
        )
        yield y, x
