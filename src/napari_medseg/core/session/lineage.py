"""Questions about the history that are asked of the database as a whole, by check, repair and compaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

from napari_medseg.core.session import rows, slots
from napari_medseg.core.session.action import START


def line(connection: sqlite3.Connection, head: int) -> list[int]:
    """The actions that lead to ``head``, newest first; it ends where an action is missing."""
    parents = dict(connection.execute("SELECT id, parent FROM journal"))
    found: list[int] = []
    while head != START and head in parents:
        found.append(head)
        head = parents[head]
    return found


def redo_line(connection: sqlite3.Connection, head: int) -> list[int]:
    """The actions that redo would do again after ``head``, oldest first."""
    newest = dict(connection.execute("SELECT parent, MAX(id) FROM journal GROUP BY parent"))
    found: list[int] = []
    while (child := newest.get(head)) is not None:
        found.append(child)
        head = child
    return found


def left_in_slots(connection: sqlite3.Connection, head: int) -> dict[str, int | None]:
    """By slot: the blob that the last action on the way to ``head`` left there, ``None`` for nothing."""
    left: dict[str, int | None] = {}
    for action in line(connection, head):
        for slot, blob in connection.execute("SELECT slot, after FROM changes WHERE journal = ?", (action,)):
            left.setdefault(slot, blob)
    return left


def documents(connection: sqlite3.Connection, prefix: str) -> Iterator[Any]:
    """All that documents hold, or held at any time, whose keys begin with ``prefix``; damaged ones are left out."""
    inside = "slot >= :first AND slot < :stop"
    # A prefix ends with a slash, and "0" is the character after it.
    span = {"first": slots.of_doc(prefix), "stop": slots.of_doc(f"{prefix[:-1]}0")}
    found = connection.execute(
        f"SELECT data, crc FROM blobs WHERE id IN (SELECT blob FROM state WHERE {inside} "
        f"UNION SELECT before FROM changes WHERE {inside} UNION SELECT after FROM changes WHERE {inside})",
        span,
    )
    yield from (json.loads(data) for data, crc in found if rows.intact((data, crc)))
