"""New labels in the place of all that a pyramid holds, made ready aside, so that nobody waits while that takes long."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from napari_medseg.core.edits import Change, Edit, TileKey
from napari_medseg.core.labelpyramid.edit import box_around
from napari_medseg.core.labelpyramid.grid import TileGrid
from napari_medseg.core.labelpyramid.pyramid import LabelPyramid
from napari_medseg.core.labelpyramid.tiles import MemoryTiles, Tiles


def encoded(planes: Iterable[Any], grid: TileGrid, dtype: np.typing.DTypeLike) -> dict[TileKey, bytes]:
    """The tiles of labels, all levels; may run in any thread.

    Parameters
    ----------
    planes
        Labels of shape (y, x) of each plane, indexed block by block.
    """
    tiles = MemoryTiles()
    pyramid = LabelPyramid(grid.shape, dtype, tiles, grid.tile_px)
    with pyramid.editing():
        for plane, labels in enumerate(planes):
            pyramid.write(labels, (0, 0), plane)
    return tiles.blobs


def replacement(grid: TileGrid, tiles: Tiles, new: Mapping[TileKey, bytes]) -> Edit | None:
    """The edit after which ``tiles`` are ``new`` and no others; ``None`` where they are already."""
    keys = {*tiles.keys(), *new}  # noqa: SIM118 - Tiles is no dictionary
    pairs = ((key, Change(before, new.get(key))) for key, before in tiles.get_many(keys))
    changes = {key: change for key, change in pairs if change.before != change.after}
    box = box_around(grid, changes)
    return None if box is None else Edit(changes, box)
