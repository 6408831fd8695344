"""What is said once of a session and is no part of its history, such as the size of a layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from napari_medseg.core.session import transactions
from napari_medseg.core.session.action import to_json
from napari_medseg.core.session.store import Store
from napari_medseg.core.session.writer import Writer

PREFIX = "fact/"

MENDED = "mended"
"""Fact that a repair leaves: ``earlier`` and ``lost`` list slots, ``settled`` the layers that were looked at since."""


class Facts(Mapping[str, Any]):
    """JSON values by key. Undo, redo and compaction leave them alone; what can be undone is a document."""

    def __init__(self, store: Store, may_write: Callable[[], Writer]) -> None:
        self._store, self._may_write = store, may_write
        self._values = {key.removeprefix(PREFIX): value for key, value in store.metas(PREFIX).items()}

    def __getitem__(self, key: str) -> Any:
        return self._values[key]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._values))

    def __len__(self) -> int:
        return len(self._values)

    def reload(self) -> None:
        """Take over the word that a repair has left; all else on disk may be older than what is held here."""
        if mended := self._store.meta(PREFIX + MENDED):
            self._values[MENDED] = mended

    def state(self, key: str, value: Any) -> None:
        """Set a value; ``None`` removes it."""
        writer = self._may_write()
        # What cannot be stored is refused here, and not in the writer's thread.
        to_json(value)
        writer.put(partial(transactions.set_meta, key=PREFIX + key, value=value))
        if value is None:
            self._values.pop(key, None)
        else:
            self._values[key] = value
