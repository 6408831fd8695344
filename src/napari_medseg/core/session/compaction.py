"""Drops history to give disk space back. What the session holds now stays, to the bit."""

from __future__ import annotations

import sqlite3
from contextlib import suppress

from napari_medseg.core.session import lineage, rows
from napari_medseg.core.session.action import START
from napari_medseg.core.session.transactions import get_meta, set_meta
from napari_medseg.core.session.writer import roll_back


def compact(connection: sqlite3.Connection, keep: int) -> None:
    """Keep the last ``keep`` actions up to the present one and those that redo would bring; drop all others."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        _drop(connection, keep)
        connection.execute("COMMIT")
    except sqlite3.Error:
        roll_back(connection)
        raise
    give_room_back(connection)


def give_room_back(connection: sqlite3.Connection) -> None:
    """Shorten the file by its free pages, and fold the log into it; where that fails, the pages are used again."""
    # The pragma frees one page a step; `execute` stops after the first, a script runs to its end.
    with suppress(sqlite3.Error):
        connection.executescript("PRAGMA incremental_vacuum")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()


def _drop(connection: sqlite3.Connection, keep: int) -> None:
    head = get_meta(connection, "head") or START
    before = lineage.line(connection, head)[:keep]
    kept = [*before, *lineage.redo_line(connection, head)]
    # The id of the state before the oldest action that is left; that state has no row.
    base = head if not before else _parent(connection, before[-1])
    connection.execute("CREATE TEMP TABLE kept (id INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO kept VALUES (?)", [(row_id,) for row_id in kept])
    connection.execute("DELETE FROM journal WHERE id NOT IN kept")
    connection.execute("DELETE FROM changes WHERE journal NOT IN kept")
    connection.execute("DROP TABLE kept")
    _begin_at(connection, base)
    if not before:
        set_meta(connection, "head", START)
    connection.execute(
        "DELETE FROM blobs WHERE id NOT IN (SELECT blob FROM state "
        "UNION SELECT before FROM changes WHERE before NOT NULL UNION SELECT after FROM changes WHERE after NOT NULL)"
    )


def _begin_at(connection: sqlite3.Connection, base: int) -> None:
    """Let the actions that followed ``base`` follow the start."""
    statement = f"SELECT id, {', '.join(rows.COLUMNS['journal'])} FROM journal WHERE parent = ?"
    for row_id, _, *rest in connection.execute(statement, (base,)).fetchall():
        rows.write(connection, "journal", (START, *rest), row_id)


def _parent(connection: sqlite3.Connection, row_id: int) -> int:
    return connection.execute("SELECT parent FROM journal WHERE id = ?", (row_id,)).fetchone()[0]
