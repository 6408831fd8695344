"""Questions about the history that are asked of the database as a whole, by check, repair and compaction."""

from __future__ import annotations

import sqlite3

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
