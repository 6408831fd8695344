"""What every slot holds now: what was recorded last, whether it is on disk yet or not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from napari_medseg.core.session.ahead import Ahead
from napari_medseg.core.session.store import Store
from napari_medseg.core.session.troubles import Unreadable

BATCH = 500
"""Values that one query reads."""


class Present:
    """Reads ``ahead`` before the database. What is damaged counts as absent and is noted in ``damage``."""

    def __init__(self, store: Store, ahead: Ahead) -> None:
        self._store, self._ahead = store, ahead
        self.damage: dict[str, str] = {}

    def value(self, slot: str) -> bytes | None:
        """The bytes in a slot; ``None`` for nothing."""
        waiting = self._ahead.find(slot)
        if waiting is not None:
            return waiting[0]
        try:
            return self._store.value(slot)
        except Unreadable as error:
            # A viewer that shows the rest is of more use than one that stops; the bytes stay where they are.
            self.damage[slot] = str(error)
            return None

    def values(self, slots: Iterable[str]) -> Iterator[tuple[str, bytes | None]]:
        """The bytes in many slots, a batch with each query."""
        left = iter(slots)
        while batch := list(islice(left, BATCH)):
            waiting = {slot: found for slot in batch if (found := self._ahead.find(slot)) is not None}
            stored = self._stored([slot for slot in batch if slot not in waiting])
            for slot in batch:
                if slot in waiting:
                    yield slot, waiting[slot][0]
                else:
                    # What is damaged is not among those found; asked for alone, it is noted.
                    yield slot, stored[slot] if slot in stored else self.value(slot)

    def slots(self, prefix: str) -> set[str]:
        """All slots that hold something and begin with ``prefix``."""
        # In this order: a value leaves ``ahead`` only after the database has it.
        waiting = self._ahead.slots(prefix)
        found = set(self._store.slots(prefix)) | waiting.keys()
        return {slot for slot in found if waiting.get(slot, True)}

    def _stored(self, slots: list[str]) -> dict[str, bytes]:
        try:
            return self._store.values(slots)
        except Unreadable:
            return {}
