"""What is written to the database. Each function is called inside a transaction, which its caller commits."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection, Mapping
from typing import Any, Literal, NamedTuple

from napari_medseg.core.session import rows
from napari_medseg.core.session.action import Action, to_json

Side = Literal["before", "after"]


class Source(NamedTuple):
    """Where a value lies in the history: before or after the action ``row``."""

    row: int
    side: Side


def set_meta(connection: sqlite3.Connection, key: str, value: Any) -> None:
    """Set one entry of ``meta``; ``None`` removes it."""
    if value is None:
        connection.execute("DELETE FROM meta WHERE key = ?", (key,))
    else:
        rows.write(connection, "meta", (key, to_json(value)))


def get_meta(connection: sqlite3.Connection, key: str) -> Any:
    """One entry of ``meta``; ``None`` where it is missing or damaged."""
    row = connection.execute(rows.select("meta", "WHERE key = ?"), (key,)).fetchone()
    return json.loads(row[1]) if row is not None and rows.intact(row) else None


def append(connection: sqlite3.Connection, action: Action, values: Mapping[str, bytes | None]) -> None:
    """Write an action and what it leaves in each slot; it becomes the head."""
    rows.write(connection, "journal", action.fields(), action.id)
    for slot, value in values.items():
        before = _blob_in(connection, slot)
        after = None if value is None else rows.write(connection, "blobs", (value,))
        rows.write(connection, "changes", (action.id, slot, before, after))
        point(connection, slot, after)
    set_meta(connection, "head", action.id)
    clear_draft(connection)


def move(connection: sqlite3.Connection, head: int, sources: Mapping[str, Source]) -> None:
    """Make ``head`` the present action, each slot pointing at the blob that it had there."""
    for slot, (row, side) in sources.items():
        query = f"SELECT {side} FROM changes WHERE journal = ? AND slot = ?"
        found = connection.execute(query, (row, slot)).fetchone()
        # None: the row was lost with a damaged page that has been mended since; the slot stays as it is.
        if found is not None:
            point(connection, slot, found[0])
    set_meta(connection, "head", head)
    clear_draft(connection)


def point(connection: sqlite3.Connection, slot: str, blob: int | None) -> None:
    """Let a slot hold a blob, or nothing."""
    if blob is None:
        connection.execute("DELETE FROM state WHERE slot = ?", (slot,))
    else:
        rows.write(connection, "state", (slot, blob))


def keep_draft(
    connection: sqlite3.Connection, about: Mapping[str, Any], values: Mapping[str, bytes | None], gone: Collection[str]
) -> None:
    """Add to the draft of the open stroke what changed since it was kept last."""
    set_meta(connection, "draft", about)
    connection.executemany("DELETE FROM draft WHERE slot = ?", [(slot,) for slot in gone])
    for slot, value in values.items():
        rows.write(connection, "draft", (slot, value))


def clear_draft(connection: sqlite3.Connection) -> None:
    """Forget the draft: its stroke has ended."""
    connection.execute("DELETE FROM draft")
    set_meta(connection, "draft", None)


def _blob_in(connection: sqlite3.Connection, slot: str) -> int | None:
    found = connection.execute("SELECT blob FROM state WHERE slot = ?", (slot,)).fetchone()
    return None if found is None else found[0]
