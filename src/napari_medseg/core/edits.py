"""What one edit did: for each label tile that it touched, the stored bytes before and after.

An edit inverts itself, so undo and redo are the same operation with the two sides exchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

Box = tuple[tuple[int, int], ...]
"""Start and end along each axis, in pixels of level 0; the end is not in it."""


class TileKey(NamedTuple):
    """Where a label tile lies.

    ``plane`` is the raveled index over the leading axes (0 for a 2D image), ``level`` halves with each step,
    ``row`` and ``column`` count tiles.
    """

    plane: int
    level: int
    row: int
    column: int


class Change(NamedTuple):
    """A tile's encoded bytes; ``None`` where it is not stored."""

    before: bytes | None
    after: bytes | None


@dataclass(frozen=True)
class Edit:
    """The tiles that one action changed, and the box around the pixels that it touched."""

    changes: dict[TileKey, Change]
    box: Box

    def inverse(self) -> Edit:
        """The edit that takes this one back."""
        return Edit({key: Change(after, before) for key, (before, after) in self.changes.items()}, self.box)
