"""What has been recorded and is not on disk yet. Painting and undo go on from here while a slow disk catches up."""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import dataclass

from napari_medseg.core.edits import Change
from napari_medseg.core.session.action import Action


@dataclass(frozen=True)
class Recorded:
    """An action and what it changed."""

    action: Action
    changes: Mapping[str, Change]


class Ahead:
    """Values and actions by the ticket of the write that they wait for; thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._ticket = 0
        self._values: dict[str, tuple[int, bytes | None]] = {}
        self._slots: dict[int, Collection[str]] = {}
        self._recorded: dict[int, Recorded] = {}
        """By the id of the action."""
        self._ids: dict[int, int] = {}
        """By ticket."""

    def add(self, values: Mapping[str, bytes | None], recorded: Recorded | None = None) -> int:
        """Hold values, and the action that set them, until ``written`` is called with the ticket returned."""
        with self._lock:
            self._ticket += 1
            self._values.update((slot, (self._ticket, value)) for slot, value in values.items())
            self._slots[self._ticket] = tuple(values)
            if recorded is not None:
                self._recorded[recorded.action.id] = recorded
                self._ids[self._ticket] = recorded.action.id
            return self._ticket

    def written(self, ticket: int) -> None:
        """Let go of what is on disk now; a value that a later write has set again stays."""
        with self._lock:
            for slot in self._slots.pop(ticket):
                if self._values[slot][0] == ticket:
                    del self._values[slot]
            if ticket in self._ids:
                del self._recorded[self._ids.pop(ticket)]

    def find(self, slot: str) -> tuple[bytes | None] | None:
        """The value of a slot in a tuple of one; ``None`` where nothing waits for it."""
        found = self._values.get(slot)
        return None if found is None else (found[1],)

    def slots(self, prefix: str) -> dict[str, bool]:
        """Slots that begin with ``prefix``, and whether they hold something."""
        with self._lock:
            return {slot: held[1] is not None for slot, held in self._values.items() if slot.startswith(prefix)}

    def recorded(self, action: int) -> Recorded | None:
        """An action that waits; ``None`` where it is on disk or never was."""
        return self._recorded.get(action)

    def actions(self) -> list[Action]:
        """All actions that wait, oldest first."""
        with self._lock:
            return [each.action for each in self._recorded.values()]
