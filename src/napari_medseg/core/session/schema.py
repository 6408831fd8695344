"""The tables of ``session.sqlite``, and how a connection to it is opened.

Strategy
--------
- ``state`` says which blob each slot holds now; ``blobs`` holds the bytes, never changed once written.
- ``journal`` has one row an action, its ``parent`` the action before it; ``changes`` names the blob before and after
  for each slot. Blobs are named, not copied: a tile that was painted twice is stored twice, not five times, and
  undo writes a few numbers even where it swaps megabytes.
- ``draft`` holds what an open stroke has done up to now; ``meta`` the head of the history and what is said once.

Every table has an integer key of its own, so that the rows of a damaged file can be reached one by one.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from napari_medseg.core.session import rows

FILE = "session.sqlite"
VERSION = 1
APPLICATION = 0x4D534547
"""Marks the file as ours in its header ("MSEG")."""

TABLES = tuple(rows.COLUMNS)
PAGE_BYTES = 4096
BUSY_S = 2.0

_STATEMENTS = """
CREATE TABLE meta (id INTEGER PRIMARY KEY, key TEXT UNIQUE, value TEXT, crc INTEGER);
CREATE TABLE blobs (id INTEGER PRIMARY KEY, data BLOB, crc INTEGER);
CREATE TABLE state (id INTEGER PRIMARY KEY, slot TEXT UNIQUE, blob INTEGER, crc INTEGER);
CREATE TABLE journal (id INTEGER PRIMARY KEY, parent INTEGER, time_utc TEXT, who TEXT, tool TEXT, name TEXT,
                      boxes TEXT, parameters TEXT, model TEXT, crc INTEGER);
CREATE TABLE changes (id INTEGER PRIMARY KEY, journal INTEGER, slot TEXT, before INTEGER, after INTEGER, crc INTEGER);
CREATE TABLE draft (id INTEGER PRIMARY KEY, slot TEXT UNIQUE, data BLOB, crc INTEGER);
CREATE INDEX journal_parent ON journal (parent);
CREATE UNIQUE INDEX changes_slot ON changes (journal, slot);
"""


def connect(path: Path, *, mode: str = "rw", immutable: bool = False, lenient: bool = False) -> sqlite3.Connection:
    """Open the database at ``path`` as SQLite's ``mode`` says (``ro``, ``rw`` or ``rwc``).

    Connections commit only when told, and may be handed from one thread to another. A lenient one also opens a file
    that is shorter than its header says.
    """
    # A URI, since a plain name would be created where it is missing; as_uri escapes any character.
    address = f"{path.absolute().as_uri()}?mode={mode}{'&immutable=1' if immutable else ''}"
    connection = sqlite3.connect(address, uri=True, timeout=BUSY_S, isolation_level=None, check_same_thread=False)
    try:
        if lenient:
            connection.execute("PRAGMA writable_schema=ON")
        connection.execute("PRAGMA cell_size_check=ON")
        connection.execute("PRAGMA trusted_schema=OFF")
        if mode != "ro":
            # FULL: a commit is on the disk when it returns, after a power cut too.
            connection.execute("PRAGMA synchronous=FULL")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def create(path: Path) -> None:
    """Make a database with empty tables, and bring it to the disk as a whole."""
    connection = connect(path, mode="rwc")
    try:
        # Nobody knows of the file yet: one wait for the disk at the end does for all of these.
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        # Compaction can then give room back piece by piece; VACUUM needs as much again, which a full disk has not.
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
        # Where a drive has no shared memory SQLite keeps its older journal, which is as safe and slower.
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute(f"PRAGMA application_id={APPLICATION}")
        connection.execute(f"PRAGMA user_version={VERSION}")
        connection.executescript(f"BEGIN;{_STATEMENTS}COMMIT;")
    finally:
        connection.close()
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def version(connection: sqlite3.Connection) -> int:
    """The version that wrote the file; sqlite3.DatabaseError where the file cannot be read, or is empty."""
    if connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0] == 0:
        error = sqlite3.DatabaseError("the file is empty")
        error.sqlite_errorcode = sqlite3.SQLITE_NOTADB
        raise error
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
