"""The history as the caller sees it: actions on disk and those that are still on their way there."""

from __future__ import annotations

from napari_medseg.core.errors import SessionError
from napari_medseg.core.session.action import Action
from napari_medseg.core.session.ahead import Ahead
from napari_medseg.core.session.store import Store
from napari_medseg.core.session.transactions import Side


class Journal:
    """Reads from both. An action leaves ``ahead`` only after it is on disk, so looking there first misses none."""

    def __init__(self, store: Store, ahead: Ahead) -> None:
        self._store, self._ahead = store, ahead

    def action(self, row_id: int) -> Action:
        """One action, which must exist."""
        waiting = self._ahead.recorded(row_id)
        found = waiting.action if waiting else self._store.action(row_id)
        if found is None:
            raise SessionError(
                f"There is no action {row_id} in the history: it was compacted away, or never there. "
                "Choose one that the history lists."
            )
        return found

    def newest_child(self, row_id: int) -> int | None:
        """The newest action that follows ``row_id``."""
        # Actions that wait are newer than all on disk.
        waiting = [action.id for action in self._ahead.actions() if action.parent == row_id]
        return waiting[-1] if waiting else self._store.newest_child(row_id)

    def changed(self, row_id: int) -> list[str]:
        """The slots that an action changed."""
        waiting = self._ahead.recorded(row_id)
        return list(waiting.changes) if waiting else self._store.changed(row_id)

    def value_at(self, row_id: int, slot: str, side: Side) -> bytes | None:
        """What a slot held before or after an action that changed it."""
        waiting = self._ahead.recorded(row_id)
        return getattr(waiting.changes[slot], side) if waiting else self._store.value_at(row_id, slot, side)

    def page(self, limit: int, below: int) -> list[Action]:
        """The newest actions with an id less than ``below``, newest first."""
        waiting = {action.id: action for action in self._ahead.actions() if action.id < below}
        found = waiting | {action.id: action for action in self._store.page(limit, below)}
        return sorted(found.values(), key=lambda action: -action.id)[:limit]
