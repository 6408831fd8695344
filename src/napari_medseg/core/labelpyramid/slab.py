"""Decoded tiles in one block of memory."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import numpy as np

from napari_medseg.core.edits import TileKey

MIN_SLOTS = 8
"""What an edit looks at together, and some more; see `Slab`."""


class Slab:
    """Cache of decoded tiles: a fixed number of slots, of which the least recently used is given up first.

    One block, allocated once: tiles allocated one by one let the process grow to gigabytes, because freed tiles
    leave holes that the next ones do not fit. A tile that was handed out is good until `MIN_SLOTS` - 1 others have
    been asked for.

    Parameters
    ----------
    slots
        Number of tiles.
    tile_px, dtype
        Of a tile.
    give_up
        Called with a tile's key and slot before the slot is used for another.
    """

    def __init__(
        self, slots: int, tile_px: int, dtype: np.dtype, give_up: Callable[[TileKey, np.ndarray], None]
    ) -> None:
        self._slots = np.empty((slots, tile_px, tile_px), dtype)
        self._used: OrderedDict[TileKey, int] = OrderedDict()
        self._free = list(range(slots))
        self._give_up = give_up

    def get(self, key: TileKey) -> np.ndarray | None:
        """The slot of a tile, shape (tile_px, tile_px), or ``None``."""
        index = self._used.get(key)
        if index is None:
            return None
        self._used.move_to_end(key)
        return self._slots[index]

    def take(self, key: TileKey) -> np.ndarray:
        """A slot for a tile that has none; what it holds is left over from another."""
        if not self._free:
            oldest = next(iter(self._used))
            self._give_up(oldest, self._slots[self._used[oldest]])
            self.drop(oldest)
        index = self._used[key] = self._free.pop()
        return self._slots[index]

    def drop(self, key: TileKey) -> None:
        """Forget a tile."""
        index = self._used.pop(key, None)
        if index is not None:
            self._free.append(index)

    def clear(self) -> None:
        """Forget all tiles."""
        self._free.extend(self._used.values())
        self._used.clear()
