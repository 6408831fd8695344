"""Reading labels at any level from the tiles that exist."""

from __future__ import annotations

from typing import Protocol

import numpy as np

from napari_medseg.core.edits import TileKey
from napari_medseg.core.labelpyramid.grid import Region, TileGrid, shape_of
from napari_medseg.core.labelpyramid.resample import magnified


class Source(Protocol):
    """A tree of tiles: as it is, or as it was before the open edit."""

    grid: TileGrid

    def present(self, key: TileKey) -> bool:
        """Whether a tile has pixels of its own."""
        ...

    def tile(self, key: TileKey) -> np.ndarray:
        """Pixels of a present tile."""
        ...


def read(source: Source, dtype: np.dtype, level: int, region: Region, plane: int) -> np.ndarray:
    """Labels of a region of a level, a new array of shape (y, x)."""
    out = np.empty(shape_of(region), dtype)
    for key, inner, target in source.grid.pieces(level, region, plane):
        out[target] = shown(source, key, inner)
    return out


def shown(source: Source, key: TileKey, region: Region) -> np.ndarray:
    """What a part of a tile shows: its own pixels, or the nearest coarser tile's at a larger size; not to be kept."""
    if source.present(key):
        return source.tile(key)[region]
    side, steps, coarse = source.grid.tile_px, 0, key
    while not source.present(coarse):
        steps += 1
        coarse = TileKey(key.plane, key.level + steps, key.row >> steps, key.column >> steps)
    rows, from_row = _coarser(region[0], key.row * side, coarse.row * side, steps)
    columns, from_column = _coarser(region[1], key.column * side, coarse.column * side, steps)
    large = magnified(source.tile(coarse)[rows, columns], 1 << steps)
    height, width = shape_of(region)
    return large[from_row : from_row + height, from_column : from_column + width]


def _coarser(span: slice, start: int, coarse_start: int, steps: int) -> tuple[slice, int]:
    """A span of a tile that begins at ``start``, in a coarser tile's pixels; how many fine pixels to skip there."""
    first, last = span.start + start, span.stop + start - 1
    coarse = slice((first >> steps) - coarse_start, (last >> steps) + 1 - coarse_start)
    return coarse, first - (first >> steps << steps)
