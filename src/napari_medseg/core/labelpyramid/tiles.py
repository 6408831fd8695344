"""Where a label pyramid keeps its encoded tiles."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Protocol

from napari_medseg.core.edits import Change, TileKey


class Tiles(Protocol):
    """Stores encoded tiles; a session has one over SQLite.

    The pyramid calls it from whichever thread reads or writes, but never from two at once.
    """

    def get(self, key: TileKey) -> bytes | None:
        """Encoded tile, ``None`` where it is not stored."""
        ...

    def get_many(self, keys: Iterable[TileKey]) -> Iterator[tuple[TileKey, bytes | None]]:
        """Encoded tiles with their keys, in any order; where a disk holds them, quicker than one by one."""
        ...

    def keys(self) -> Iterable[TileKey]:
        """All stored tiles."""
        ...

    def put(self, changes: Mapping[TileKey, Change]) -> None:
        """Take over one whole edit: from now on `get` answers with what came ``after``."""
        ...


class LaidOver:
    """Tiles in memory over others that stay as they are.

    Parameters
    ----------
    below
        The others.
    hidden
        Tiles of theirs that are not shown.
    """

    def __init__(self, below: Tiles, hidden: Collection[TileKey] = ()) -> None:
        self._below = below
        self._own: dict[TileKey, bytes | None] = dict.fromkeys(hidden)

    def get(self, key: TileKey) -> bytes | None:
        """Encoded tile, ``None`` where it is not stored."""
        return self._own[key] if key in self._own else self._below.get(key)

    def get_many(self, keys: Iterable[TileKey]) -> Iterator[tuple[TileKey, bytes | None]]:
        """Encoded tiles with their keys."""
        wanted = set(keys)
        yield from ((key, self._own[key]) for key in wanted & self._own.keys())
        yield from self._below.get_many(wanted - self._own.keys())

    def keys(self) -> Iterable[TileKey]:
        """All stored tiles."""
        own = {key for key, blob in self._own.items() if blob is not None}
        return sorted((set(self._below.keys()) - self._own.keys()) | own)

    def put(self, changes: Mapping[TileKey, Change]) -> None:
        """Take over an edit."""
        self._own.update((key, change.after) for key, change in changes.items())


class MemoryTiles:
    """Encoded tiles in a dictionary."""

    def __init__(self) -> None:
        self.blobs: dict[TileKey, bytes] = {}

    def get(self, key: TileKey) -> bytes | None:
        """Encoded tile, ``None`` where it is not stored."""
        return self.blobs.get(key)

    def get_many(self, keys: Iterable[TileKey]) -> Iterator[tuple[TileKey, bytes | None]]:
        """Encoded tiles with their keys."""
        return ((key, self.get(key)) for key in keys)

    def keys(self) -> Iterable[TileKey]:
        """All stored tiles."""
        return list(self.blobs)

    def put(self, changes: Mapping[TileKey, Change]) -> None:
        """Take over an edit."""
        for key, change in changes.items():
            if change.after is None:
                self.blobs.pop(key, None)
            else:
                self.blobs[key] = change.after
