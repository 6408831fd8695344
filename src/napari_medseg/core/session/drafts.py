"""What an open stroke has done up to now, kept on disk every second, so that a crash in mid-stroke costs a second.

Only the difference to what was kept before is written: a stroke of an hour touches thousands of tiles.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from napari_medseg.core.edits import Box
from napari_medseg.core.session import transactions
from napari_medseg.core.session.store import Store
from napari_medseg.core.session.writer import Writer

INTERVAL_S = 1.0


@dataclass(frozen=True)
class Left:
    """What a stroke had done when the last viewer ended, and what to say of it."""

    values: dict[str, bytes | None]
    tool: str
    boxes: dict[str, Box]
    sentences: list[str]


def left_behind(store: Store) -> Left:
    """The draft that nobody ended; without values where there is none."""
    values, damaged = store.draft()
    about = store.meta("draft") or {}
    boxes: dict[str, Box] = {layer: tuple(map(tuple, box)) for layer, box in about.get("boxes", {}).items()}
    sentences = []
    if values:
        when = f" of {about['time_utc']}" if "time_utc" in about else ""
        sentences.append(f"A stroke{when} that was not finished was recovered; undo takes it back.")
    if damaged:
        sentences.append(f"{damaged} tiles of a stroke that was not finished are damaged and were left out.")
    return Left(values, about.get("tool", ""), boxes, sentences)


class Drafts:
    """The draft of one session."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._kept: dict[str, bytes | None] = {}
        self._kept_at = -INTERVAL_S
        self._on_disk = threading.Event()
        self._on_disk.set()

    @property
    def due(self) -> bool:
        """Whether a second has passed since the last draft, and that one is on disk."""
        # Never wall-clock time, which may go backwards.
        return self._on_disk.is_set() and time.monotonic() - self._kept_at >= INTERVAL_S

    def keep(self, values: Mapping[str, bytes | None], about: Mapping[str, Any]) -> None:
        """Write what changed since the last draft of the same stroke."""
        kept = self._kept
        changed = {slot: value for slot, value in values.items() if slot not in kept or kept[slot] != value}
        gone = kept.keys() - values.keys()
        self._kept, self._kept_at = dict(values), time.monotonic()
        self._on_disk.clear()
        write = partial(transactions.keep_draft, about=about, values=changed, gone=gone)
        self._writer.put(write, self._on_disk.set)

    def forget(self) -> None:
        """The stroke was given up."""
        if self._kept:
            self._kept = {}
            self._writer.put(transactions.clear_draft)

    def ended(self) -> None:
        """The stroke was recorded, and the transaction that does so clears the draft."""
        self._kept = {}
