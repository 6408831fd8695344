"""Opening, committing and taking back an edit of a `TileStore`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import reduce

import numpy as np

from napari_medseg.core import tilecodec
from napari_medseg.core.edits import Box, Change, Edit, TileKey
from napari_medseg.core.errors import BrokenTile
from napari_medseg.core.labelpyramid.grid import TileGrid, joined, parent, whole
from napari_medseg.core.labelpyramid.operation import Operation
from napari_medseg.core.labelpyramid.store import OpenEdit, TileStore


def commit(store: TileStore, edit: OpenEdit) -> Edit | None:
    """Hand the edit to the tiles and close it; nothing has happened to it if they refuse."""
    Operation(store, marked=edit.marked).settle()
    _prune(store, edit)
    done = draft(store, edit)
    if done is not None:
        store.tiles.put(done.changes)
    for key in edit.was:
        if store.catalogue.has(key):
            store.catalogue.add(key, tilecodec.largest_label(edit.encoded[key]))
    store.open = None
    return done


def draft(store: TileStore, edit: OpenEdit) -> Edit | None:
    """What the edit has changed up to now; it stays open."""
    Operation(store, marked=edit.marked).settle()
    pairs = ((key, Change(store.tiles.get(key), store.current_bytes(key))) for key in edit.was)
    changes = {key: change for key, change in pairs if change.before != change.after}
    box = edit.box or box_around(store.grid, changes)
    return None if box is None or not changes else Edit(changes, box)


def abort(store: TileStore, edit: OpenEdit) -> None:
    """Put everything back as it was before the edit."""
    store.open = None
    for key, was in edit.was.items():
        store.install(key, store.tiles.get(key) if was else None)


def apply(store: TileStore, changes: Mapping[TileKey, Change]) -> None:
    """Swap tiles in, all of them or, where one of them cannot be, none."""
    for key, change in changes.items():
        store.grid.check_key(key)
        if change.after is not None:
            store.decoded(key, change.after)
    store.tiles.put(changes)
    for key, change in changes.items():
        store.install(key, change.after)


def box_around(grid: TileGrid, keys: Iterable[TileKey]) -> Box | None:
    """Box around tiles, in pixels of level 0; ``None`` around none."""
    boxes = (grid.base_box(key.level, grid.area(key), key.plane) for key in keys)
    return reduce(joined, boxes, None)


def _prune(store: TileStore, edit: OpenEdit) -> None:
    """Take away touched tiles that show nothing that their parents, or for the coarsest an empty image, do not show.

    Without them the same labels are always the same tiles, whatever way led there, and a uniform area costs nothing.
    From the finest level upwards, because a tile without children left may be the next to go.
    """
    for level in range(store.grid.top):
        for key in [key for key in edit.was if key.level == level]:
            if store.present(key) and not store.present_children(key) and _is_doubled(store.tile(key)):
                store.remove(key)
    for key in [key for key in edit.was if key.level == store.grid.top]:
        if not store.present_children(key) and not store.tile(key).any():
            store.forget(key)


def _is_doubled(pixels: np.ndarray) -> bool:
    """Whether the tile consists of uniform 2 x 2 blocks, and hence equals its parent's quadrant at twice the size."""
    height, width = (size // 2 * 2 for size in pixels.shape)
    return np.array_equal(pixels[:height:2], pixels[1::2]) and np.array_equal(pixels[:, :width:2], pixels[:, 1::2])


def heal(store: TileStore) -> Operation:
    """Drop tiles that cannot be read, make the coarser ones that are missing, and bring all levels to agree.

    The finest tile that there is has the say, also where it went back to an earlier version than the coarser ones.
    What a lost tile showed in more detail than its parent, and no finer tile shows, is lost.
    """
    keys = list(store.catalogue.keys())
    dropped = {key for key, blob in store.tiles.get_many(keys) if not _readable(store, key, blob)}
    for key in dropped:
        store.forget(key)
    operation = Operation(store)
    for key in sorted(set(keys) - dropped, key=lambda key: -key.level):
        if key.level < store.grid.top and not store.catalogue.has(parent(key)):
            store.create(parent(key))
        operation.mark(key, whole(store.grid.extent(key)))
    operation.settle()
    return operation


def _readable(store: TileStore, key: TileKey, blob: bytes | None) -> bool:
    try:
        store.decoded(key, blob)
    except BrokenTile:
        return False
    return True
