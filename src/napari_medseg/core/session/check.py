"""Looks at all of a session: the file's structure, each checksum, and whether the history fits the present state."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from napari_medseg.core.session import lineage, models, reading, rows, troubles
from napari_medseg.core.session.action import START
from napari_medseg.core.session.database import read_only
from napari_medseg.core.session.transactions import get_meta

MOST_LINES = 20
QUICK_S = 0.5


@dataclass(frozen=True)
class Problem:
    """Something that is not as it was written; ``where`` names a table, a slot or the file."""

    where: str
    sentence: str


_REFERENCES = {
    "state": (
        "SELECT slot FROM state WHERE blob NOT IN (SELECT id FROM blobs)",
        "what it held is missing",
    ),
    "changes": (
        "SELECT slot || ' in action ' || journal FROM changes "
        "WHERE before NOT IN (SELECT id FROM blobs) OR after NOT IN (SELECT id FROM blobs)",
        "its version before or after the action is missing",
    ),
    "journal": (
        f"SELECT 'action ' || id FROM journal WHERE parent <> {START} AND parent NOT IN (SELECT id FROM journal)",
        "the action before it is missing",
    ),
    "actions": (
        "SELECT DISTINCT 'action ' || journal FROM changes WHERE journal NOT IN (SELECT id FROM journal)",
        "its entry is missing",
    ),
}


def everything(path: Path) -> list[Problem]:
    """All problems of a session: of its database file, which is given, and of the files that it names."""
    return [*check(path), *check_models(path)]


def check(path: Path) -> list[Problem]:
    """All problems of a database file; nothing is changed. Reads all of it."""
    connection = None
    try:
        connection, _ = read_only(path)
        return [*structure(connection), *_checksums(connection), *_references(connection), *_history(connection)]
    except sqlite3.Error as error:
        return [Problem("file", f"{path.name} cannot be read through: {error}.")]
    finally:
        if connection is not None:
            connection.close()


def check_models(path: Path) -> list[Problem]:
    """All model files that a database file names and that are missing or damaged. Reads all of them."""
    connection = None
    try:
        connection, _ = read_only(path)
        return [Problem(*fault) for fault in models.faults(path.parent, models.named(connection))]
    except sqlite3.Error:
        # What ails the database itself is what `check` says.
        return []
    finally:
        if connection is not None:
            connection.close()


def looks_sound(connection: sqlite3.Connection, seconds: float = QUICK_S) -> bool:
    """Whether SQLite finds nothing wrong with the file's structure in the time given."""
    end = time.monotonic() + seconds
    connection.set_progress_handler(lambda: time.monotonic() > end, 10_000)
    try:
        return all(line == "ok" for (line,) in connection.execute("PRAGMA quick_check(1)"))
    except sqlite3.DatabaseError as error:
        return troubles.code(error) == sqlite3.SQLITE_INTERRUPT
    finally:
        connection.set_progress_handler(None, 0)


def structure(connection: sqlite3.Connection) -> Iterator[Problem]:
    """What SQLite itself finds wrong with pages and indexes."""
    for (line,) in connection.execute(f"PRAGMA integrity_check({MOST_LINES})"):
        if line != "ok":
            yield Problem("file", line)


def _checksums(connection: sqlite3.Connection) -> Iterator[Problem]:
    for table in rows.COLUMNS:
        for row_id, *row in reading.readable(connection, table):
            if not rows.intact(row):
                yield Problem(table, f"Row {row_id} of {table} does not match its checksum.")


def _references(connection: sqlite3.Connection) -> Iterator[Problem]:
    for query, what in _REFERENCES.values():
        for (where,) in connection.execute(query):
            yield Problem(where, f"{where}: {what}.")


def _history(connection: sqlite3.Connection) -> Iterator[Problem]:
    """Compare the present state with what the actions up to the head left."""
    head = get_meta(connection, "head")
    known = {row_id for (row_id,) in connection.execute("SELECT id FROM journal")}
    if head is None or head not in {START, *known}:
        yield Problem("head", "The history does not say which action is the present one.")
        return
    held = dict(connection.execute("SELECT slot, blob FROM state"))
    for slot, blob in lineage.left_in_slots(connection, head).items():
        if held.get(slot) != blob:
            yield Problem(slot, f"{slot} does not hold what the history left there.")
