"""The tiles of one layer of a session, as the label pyramid wants them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping

from napari_medseg.core.edits import Change, Edit, TileKey
from napari_medseg.core.session import slots
from napari_medseg.core.session.present import Present


class SessionTiles:
    """Encoded tiles by key.

    ``put`` shows at once and reaches the disk with the action that is recorded next, so that a stroke is one
    transaction. What was put and never recorded becomes an action of its own.
    """

    def __init__(
        self,
        layer: str,
        present: Present,
        staged: MutableMapping[str, bytes | None],
        may_write: Callable[[], object],
    ) -> None:
        self.layer = layer
        self._present, self._staged, self._may_write = present, staged, may_write
        self._prefix = slots.tiles_of(layer)

    def get(self, key: TileKey) -> bytes | None:
        """One tile; ``None`` where it is not stored."""
        slot = slots.under(self._prefix, key)
        try:
            return self._staged[slot]
        except KeyError:
            return self._present.value(slot)

    def get_many(self, keys: Iterable[TileKey]) -> Iterator[tuple[TileKey, bytes | None]]:
        """Tiles with their keys, in any order, many with each query."""
        keys_of = {slots.under(self._prefix, key): key for key in keys}
        staged = {slot: value for slot, value in list(self._staged.items()) if slot in keys_of}
        # In the order of the index, so that one query reads neighbours.
        stored = self._present.values(sorted(keys_of.keys() - staged.keys()))
        for slot, value in itertools.chain(staged.items(), stored):
            yield keys_of[slot], value

    def keys(self) -> Iterator[TileKey]:
        """All tiles that are stored."""
        staged = {slot: value for slot, value in list(self._staged.items()) if slot.startswith(self._prefix)}
        found = self._present.slots(self._prefix) | staged.keys()
        return (slots.tile(slot)[1] for slot in sorted(found) if staged.get(slot, b"") is not None)

    def put(self, changes: Mapping[TileKey, Change]) -> None:
        """Set or remove tiles. Putting what undo, redo or a jump has already brought changes nothing."""
        self._may_write()
        for key, change in changes.items():
            slot = slots.under(self._prefix, key)
            if change.after == self._present.value(slot):
                self._staged.pop(slot, None)
            else:
                self._staged[slot] = change.after


def values_of(layer: str, edit: Edit | None) -> dict[str, bytes | None]:
    """What an edit leaves in each slot."""
    changes = edit.changes if edit is not None else {}
    prefix = slots.tiles_of(layer)
    return {slots.under(prefix, key): change.after for key, change in changes.items()}
