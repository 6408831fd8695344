"""The tiles of a label pyramid as arrays: which exist, their pixels, and what the open edit has touched."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from napari_medseg.core import tilecodec
from napari_medseg.core.edits import Box, TileKey
from napari_medseg.core.errors import BrokenTile, NewerTile
from napari_medseg.core.labelpyramid.catalogue import Catalogue
from napari_medseg.core.labelpyramid.grid import Region, TileGrid, parent
from napari_medseg.core.labelpyramid.resample import double_into
from napari_medseg.core.labelpyramid.slab import MIN_SLOTS, Slab
from napari_medseg.core.labelpyramid.tiles import Tiles

Marks = dict[int, dict[TileKey, Region]]
"""By level: parts of tiles that their parents do not show yet."""


@dataclass
class OpenEdit:
    """What an edit has touched up to now; the tiles before it are still in `Tiles`."""

    thread: int
    was: dict[TileKey, bool] = field(default_factory=dict)
    """Touched tiles, and whether each was there before."""
    encoded: dict[TileKey, bytes] = field(default_factory=dict)
    """Touched tiles in the state in which they left the slab or were asked for in a draft."""
    unsaved: set[TileKey] = field(default_factory=set)
    """Touched tiles that are newer than that."""
    box: Box | None = None
    marked: Marks = field(default_factory=dict)


class TileStore:
    """A sparse quadtree of label tiles, a part of which is decoded.

    Strategy
    --------
    An absent tile is its parent's quadrant at twice the size, so what nobody painted in detail costs nothing. All
    ancestors of a stored tile are stored; with that, whether anything finer lies below a tile shows in its four
    children. The coarsest level always has pixels, as one array, ``top``, also where none of its tiles is stored.

    A tile's bytes before an edit are those in `Tiles`, which learns of the edit only when it is committed. Nothing
    needs to be saved at the first touch, then, and the state before the edit can be read while it is open (`before`).

    Not safe against threads: `LabelPyramid` holds its lock around every call.
    """

    def __init__(self, grid: TileGrid, dtype: np.dtype, tiles: Tiles, slab_bytes: int) -> None:
        self.grid = grid
        self.dtype = dtype
        self.tiles = tiles
        self.catalogue = Catalogue(grid)
        self.open: OpenEdit | None = None
        self.top = np.zeros((*grid.leading, *grid.sizes[-1]), dtype)
        self._top_planes = self.top.reshape(grid.planes, *grid.sizes[-1])
        below_top = sum(rows * columns for rows, columns in grid.counts[:-1]) * grid.planes
        slots = max(MIN_SLOTS, slab_bytes // (grid.tile_px**2 * dtype.itemsize))
        self._slab = Slab(min(slots, below_top), grid.tile_px, dtype, self._give_up)

    def present(self, key: TileKey) -> bool:
        """Whether a tile has pixels of its own."""
        return key.level == self.grid.top or self.catalogue.has(key)

    def present_children(self, key: TileKey) -> list[TileKey]:
        """The next finer tiles that have pixels of their own."""
        return [child for child in self.grid.children(key) if self.catalogue.has(child)]

    def tile(self, key: TileKey) -> np.ndarray:
        """Pixels of a present tile, shape (y, x); a view that is good until a few others have been asked for."""
        if key.level == self.grid.top:
            return self._top_planes[key.plane][self.grid.area(key)]
        slot = self._slab.get(key)
        if slot is None:
            pixels = self._load(key)
            slot = self._slab.take(key)
            self._cut(key, slot)[...] = pixels
        return self._cut(key, slot)

    def touch(self, key: TileKey) -> None:
        """Say that a tile changes; call it before the first write."""
        assert self.open is not None
        self.open.was.setdefault(key, self.catalogue.has(key))
        self.open.unsaved.add(key)
        self.catalogue.add(key)

    def create(self, key: TileKey) -> np.ndarray:
        """Give a tile, and all above it, pixels of its own: those it shows now."""
        if self.catalogue.has(key):
            return self.tile(key)
        self.touch(key)
        if key.level == self.grid.top:
            return self.tile(key)
        self.create(parent(key))
        out = self._cut(key, self._slab.take(key))
        double_into(out, self.tile(parent(key))[self.grid.in_parent(key)])
        return out

    def remove(self, key: TileKey) -> None:
        """Take away a tile below the top and all finer ones under it."""
        for child in self.present_children(key):
            self.remove(child)
        self.forget(key)
        # It may have been there for this one alone; `commit` looks at what was touched.
        self.touch(parent(key))

    def forget(self, key: TileKey) -> None:
        """Take away one tile, of whatever content; the coarsest level shows background there."""
        assert self.open is not None
        self.touch(key)
        self.open.unsaved.discard(key)
        self.open.encoded.pop(key, None)
        self.install(key, None)

    def current_bytes(self, key: TileKey) -> bytes | None:
        """What a touched tile would be stored as now."""
        assert self.open is not None
        if not self.catalogue.has(key):
            return None
        if key in self.open.unsaved:
            self.open.encoded[key] = tilecodec.encode(self.tile(key))
            self.open.unsaved.discard(key)
        return self.open.encoded[key]

    def enter(self, key: TileKey, blob: bytes | None) -> None:
        """Take in a tile that is stored already; `BrokenTile` or `NewerTile` where it cannot be read."""
        self.catalogue.add(key)
        if key.level == self.grid.top:
            self.tile(key)[...] = self.decoded(key, blob)
        self.catalogue.add(key, self._checked(key, blob).largest)

    def install(self, key: TileKey, blob: bytes | None) -> None:
        """Forget what is known of a tile and take ``blob``, which `Tiles` holds or soon will, for its content."""
        self._slab.drop(key)
        if key.level == self.grid.top:
            self.tile(key)[...] = 0 if blob is None else self.decoded(key, blob)
        if blob is None:
            self.catalogue.remove(key)
        else:
            self.catalogue.add(key, tilecodec.largest_label(blob))

    def decoded(self, key: TileKey, blob: bytes | None) -> np.ndarray:
        """Pixels of an encoded tile; `BrokenTile` says which tile it is."""
        self._checked(key, blob)
        return tilecodec.decode(blob or b"")

    def _checked(self, key: TileKey, blob: bytes | None) -> tilecodec.Header:
        """What an encoded tile says of itself, once it is known to be whole and in its place."""
        if blob is None:
            raise BrokenTile(f"Label {key} is listed but missing; repair the session.")
        try:
            header = tilecodec.checked_header(blob)
        except (BrokenTile, NewerTile) as error:
            raise type(error)(f"Label {key} cannot be read. {error}") from error
        shape, dtype = (header.height, header.width), np.dtype(header.dtype.decode())
        if shape != self.grid.extent(key) or dtype != self.dtype:
            raise BrokenTile(
                f"Label {key} has shape {shape} and type {dtype.name}; this image needs "
                f"{self.grid.extent(key)} and {self.dtype}: the tile belongs to another image."
            )
        return header

    def largest(self) -> int:
        """The largest label, the open edit included."""
        touched = {} if self.open is None else self.open.was
        unknown = set(self.catalogue.unknown())
        for key, blob in self.tiles.get_many(unknown - touched.keys()):
            self.catalogue.add(key, 0 if blob is None else tilecodec.largest_label(blob))
        return max([self.catalogue.largest(), *(int(self.tile(key).max()) for key in unknown & touched.keys())])

    def _cut(self, key: TileKey, slot: np.ndarray) -> np.ndarray:
        height, width = self.grid.extent(key)
        return slot[:height, :width]

    def _load(self, key: TileKey) -> np.ndarray:
        blob = self.open.encoded.get(key) if self.open else None
        return self.decoded(key, self.tiles.get(key) if blob is None else blob)

    def _give_up(self, key: TileKey, slot: np.ndarray) -> None:
        if self.open is not None and key in self.open.unsaved:
            self.open.encoded[key] = tilecodec.encode(self._cut(key, slot))
            self.open.unsaved.discard(key)


class Before:
    """The tiles as they were before the open edit, to be read like a `TileStore`."""

    def __init__(self, store: TileStore, edit: OpenEdit) -> None:
        self.grid = store.grid
        self._store = store
        self._was = edit.was

    def present(self, key: TileKey) -> bool:
        """Whether a tile had pixels of its own."""
        return key.level == self.grid.top or self._was.get(key, self._store.present(key))

    def tile(self, key: TileKey) -> np.ndarray:
        """Pixels of a tile that was present."""
        if key not in self._was:
            return self._store.tile(key)
        if not self._was[key]:
            return np.zeros(self.grid.extent(key), self._store.dtype)
        return self._store.decoded(key, self._store.tiles.get(key))
