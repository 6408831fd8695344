"""What a session holds and what it costs on disk."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_medseg.core.session import schema, slots
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
    file_bytes, predictions_bytes
        Size of the database with its log, and of ``predictions.zarr``.
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
    predictions_bytes: int
    image: dict[str, Any] | None
    people: dict[str, int]


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
        predictions_bytes=_folder_bytes(predictions),
        image=store.meta("image"),
        people=dict(database.query("SELECT who, COUNT(*) AS n FROM journal GROUP BY who ORDER BY n DESC, who")),
    )


def file_bytes(path: Path) -> int:
    """Size of the database file and its log."""
    parts = (path, path.with_name(f"{schema.FILE}-wal"))
    return sum(part.stat().st_size for part in parts if part.exists())


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) if folder.is_dir() else 0


def _sum(database: Database, statement: str) -> int:
    return database.query(statement)[0][0] or 0
