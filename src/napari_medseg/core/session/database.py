"""The open database: one connection that reads, one that writes."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from napari_medseg.core.errors import SessionError
from napari_medseg.core.session import schema, troubles


class Database:
    """``session.sqlite`` of one folder.

    In WAL mode reading never waits for writing and sees whole transactions only. The writing connection belongs to
    the writer's thread; the reading one is shared, one query at a time.

    Parameters
    ----------
    path
        The file, where it is not the one in ``folder``.
    """

    def __init__(self, folder: Path, *, writable: bool, path: Path | None = None) -> None:
        self.folder, self.writable = folder, writable
        self.path = path or folder / schema.FILE
        self.version = 0
        self._lock = threading.RLock()
        self._reading: sqlite3.Connection | None = None
        self._writing: sqlite3.Connection | None = None
        try:
            self.open()
        except BaseException:
            self.close()
            raise

    def open(self) -> None:
        """Connect, and see that the file can be read; sqlite3.DatabaseError where it is damaged."""
        with self._lock:
            if self.writable:
                self._writing = schema.connect(self.path)
                self.version = schema.version(self._writing)
                # SQLite opens a file that may not be written to all the same; this shows it now.
                self._writing.execute("BEGIN IMMEDIATE").execute("ROLLBACK")
                self._reading = schema.connect(self.path, mode="ro")
            else:
                self._reading, self.version = read_only(self.path)
                # One moment for as long as it is open: another viewer's later strokes come whole on the next opening.
                self._reading.execute("BEGIN")
                schema.version(self._reading)

    @property
    def writing(self) -> sqlite3.Connection:
        """The connection that writes, opened again where a repair could not."""
        if self._writing is None:
            self.open()
        assert self._writing is not None, "only a writable session has a writer"
        return self._writing

    def close(self) -> None:
        """Close both connections; the last writer of a database folds its write-ahead log into the file."""
        with self._lock:
            for connection in (self._reading, self._writing):
                if connection is not None:
                    # A full disk may keep the log from being folded in; it is read again on the next opening.
                    with suppress(sqlite3.Error):
                        connection.close()
            self._reading = self._writing = None

    def query(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a query, from any thread."""
        with self._lock:
            if self._reading is None:
                raise SessionError(f"The session {self.folder} is closed. Open it again.")
            try:
                return self._reading.execute(statement, values).fetchall()
            except sqlite3.Error as error:
                kind = troubles.Unreadable if troubles.is_damage(error) else SessionError
                raise kind(troubles.sentence(error, self.folder)) from error

    def exclusive(self) -> threading.RLock:
        """Holds all readers up, for the moment in which the file is exchanged."""
        return self._lock


def read_only(path: Path) -> tuple[sqlite3.Connection, int]:
    """A connection that writes nothing, and the version of the file."""
    connection = schema.connect(path, mode="ro")
    try:
        return connection, schema.version(connection)
    except sqlite3.OperationalError:
        connection.close()
    # In a folder that cannot be written to, SQLite cannot share the write-ahead log and reads the file as it lies.
    connection = schema.connect(path, mode="ro", immutable=True)
    return connection, schema.version(connection)
