"""One change of pixels anywhere in the tree, after which all levels agree again."""

from __future__ import annotations

import numpy as np

from napari_medseg.core.edits import Box, TileKey
from napari_medseg.core.labelpyramid.grid import Region, around, joined, parent
from napari_medseg.core.labelpyramid.reading import shown
from napari_medseg.core.labelpyramid.resample import halved
from napari_medseg.core.labelpyramid.store import Marks, TileStore


class Operation:
    """Assign labels to parts of tiles, then `settle`.

    Strategy
    --------
    Assign where the pixels have their finest tile; nothing else is right there. Each assignment marks its part of
    the tile. `settle` goes from level 0 to the top and downsamples the marked part of each tile into its parent,
    which is marked in turn if that changed anything.

    Marks may be left for later, as those of a stroke's dabs are: where a finer tile lies below, nobody reads the
    coarser one before it is settled, and elsewhere the coarser one is right.

    Parameters
    ----------
    only
        Change pixels of this label alone.
    marked
        What operations before this one have left to be settled, by level; what this one leaves is added.
    """

    def __init__(self, store: TileStore, only: int | None = None, marked: Marks | None = None) -> None:
        self.store = store
        self.box: Box | None = None
        self.only = only
        self._marked: Marks = {} if marked is None else marked

    def assign(self, key: TileKey, region: Region, values: int | np.ndarray, where: np.ndarray | None = None) -> None:
        """Change a part of a tile, which is created where the change is not what it shows already.

        Parameters
        ----------
        region
            In the tile's pixels; the tile has nothing finer there.
        values
            A label, or labels of the region's shape.
        where
            Boolean, of the region's shape; all of it without.
        """
        present = self.store.present(key)
        pixels = self.store.tile(key)[region] if present else shown(self.store, key, region)
        change = pixels != values
        if where is not None:
            change &= where
        if self.only is not None:
            change &= pixels == self.only
        if not change.any():
            return
        if not present:
            pixels = self.store.create(key)[region]
        self._write(key, region, pixels, values, change)
        self.box = joined(self.box, self._base_box(key, region))

    def settle(self, level: int | None = None) -> None:
        """Bring the coarser levels in line, up to ``level`` or all of them."""
        for finer in range(self.store.grid.top if level is None else level):
            marked = self._marked.get(finer, {})
            while marked:
                key = next(iter(marked))
                self._settle_parent(key, marked[key])
                # Only now: what cannot be read at the moment stays marked.
                del marked[key]

    def changed(self, key: TileKey) -> None:
        """Say that a whole tile may show something else now."""
        self.box = joined(self.box, self.store.grid.base_box(key.level, self.store.grid.area(key), key.plane))

    def mark(self, key: TileKey, region: Region) -> None:
        """Say that a part of a tile is new, so that `settle` looks at it."""
        marked = self._marked.setdefault(key.level, {})
        marked[key] = around(marked[key], region) if key in marked else region

    def _settle_parent(self, key: TileKey, region: Region) -> None:
        region = self._whole_blocks(key, region)
        merged = halved(self.store.tile(key)[region])
        top, left = (span.start for span in self.store.grid.in_parent(key))
        rows, columns = region[0].start // 2 + top, region[1].start // 2 + left
        target = slice(rows, rows + merged.shape[0]), slice(columns, columns + merged.shape[1])
        pixels = self.store.tile(parent(key))[target]
        change = pixels != merged
        if change.any():
            self._write(parent(key), target, pixels, merged, change)

    def _whole_blocks(self, key: TileKey, region: Region) -> Region:
        y, x = (
            slice(span.start & ~1, min(span.stop + (span.stop & 1), size))
            for span, size in zip(region, self.store.grid.extent(key), strict=True)
        )
        return y, x

    def _write(
        self, key: TileKey, region: Region, pixels: np.ndarray, values: int | np.ndarray, change: np.ndarray
    ) -> None:
        self.store.touch(key)
        np.copyto(pixels, values, where=change, casting="unsafe")
        self.mark(key, region)

    def _base_box(self, key: TileKey, region: Region) -> Box:
        y, x = self.store.grid.area(key)
        rows, columns = region
        area = slice(y.start + rows.start, y.start + rows.stop), slice(x.start + columns.start, x.start + columns.stop)
        return self.store.grid.base_box(key.level, area, key.plane)
