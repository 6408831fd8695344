"""What a session holds and what it costs on disk."""

from __future__ import annotations

import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_medseg.core.session import models, schema, slots
from napari_medseg.core.session.database import Database
from napari_medseg.core.session.store import Store


@dataclass(frozen=True)
class Info:
    """Facts on a session.

    Parameters
    ----------
    present_bytes
        Stored bytes of what the session holds now.
    history_bytes
        Stored bytes that only undo and redo need: what compaction gives back.
    file_bytes, models_bytes, predictions_bytes
        Size of the database with its log, of the model files, and of ``predictions.zarr``.
    people
        Who acted, the most active first, and the number of their actions.
    """

    folder: Path
    version: int
    created: str
    actions: int
    tiles: dict[str, int]
    docs: tuple[str, ...]
    present_bytes: int
    history_bytes: int
    file_bytes: int
    models_bytes: int
    predictions_bytes: int
    image: dict[str, Any] | None
    people: dict[str, int]

    @property
    def disk_bytes(self) -> int:
        """All that the session takes on the disk."""
        return self.file_bytes + self.models_bytes + self.predictions_bytes


def gather(database: Database, predictions: Path) -> Info:
    """The facts on what is on disk."""
    store = Store(database)
    total = _sum(database, "SELECT SUM(LENGTH(data)) FROM blobs")
    present = _sum(database, "SELECT SUM(LENGTH(data)) FROM blobs WHERE id IN (SELECT blob FROM state)")
    return Info(
        folder=database.folder,
        version=database.version,
        created=store.meta("created") or "",
        actions=_sum(database, "SELECT COUNT(*) FROM journal"),
        tiles=dict(Counter(slots.tile(slot)[0] for slot in store.slots(slots.TILES))),
        docs=tuple(sorted(map(slots.doc, store.slots(slots.DOCS)))),
        present_bytes=present,
        history_bytes=total - present,
        file_bytes=file_bytes(database.folder / schema.FILE),
        models_bytes=folder_bytes(database.folder / models.FOLDER),
        predictions_bytes=folder_bytes(predictions),
        image=store.meta("image"),
        people=dict(database.query("SELECT who, COUNT(*) AS n FROM journal GROUP BY who ORDER BY n DESC, who")),
    )


def file_bytes(path: Path) -> int:
    """Size of the database file and its log."""
    parts = (path, path.with_name(f"{schema.FILE}-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())


def stored_bytes(folder: Path) -> int:
    """Size of the database and of the model files of a session, which compaction makes smaller."""
    return file_bytes(folder / schema.FILE) + folder_bytes(folder / models.FOLDER)


def folder_bytes(folder: Path) -> int:
    """What the files in a folder take; what another thread takes away meanwhile does not count."""
    total = 0
    for inside, _, names in os.walk(folder):
        for name in names:
            with suppress(OSError):
                total += Path(inside, name).stat().st_size
    return total


def _sum(database: Database, statement: str) -> int:
    return database.query(statement)[0][0] or 0
