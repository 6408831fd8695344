"""What SQLite reports, in sentences for the user."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from napari_medseg.core.errors import SessionError

_PRIMARY = 0xFF
"""The low byte of an extended result code is the plain code."""

_CAUSES = {
    sqlite3.SQLITE_FULL: "The disk of {folder} is full. Make room on it.",
    sqlite3.SQLITE_IOERR: "The disk of {folder} takes no more data: it is full, over a quota, or out of reach. "
    "Make room on it, or connect it again.",
    sqlite3.SQLITE_READONLY: "{folder} has become read-only. Allow writing to it again.",
    sqlite3.SQLITE_PERM: "{folder} may not be written to. Give yourself the right to write there.",
    sqlite3.SQLITE_BUSY: "Another program holds the database in {folder}. Close that program.",
    sqlite3.SQLITE_LOCKED: "Another program holds the database in {folder}. Close that program.",
    sqlite3.SQLITE_CANTOPEN: "The database in {folder} is out of reach: it was moved, or its drive is gone. "
    "Bring it back.",
    sqlite3.SQLITE_CORRUPT: "The database in {folder} is damaged. Close the session and say "
    "`medseg session repair` with its folder.",
    sqlite3.SQLITE_NOTADB: "The database in {folder} is damaged. Close the session and say "
    "`medseg session repair` with its folder.",
}


class Unreadable(SessionError):
    """What is stored is damaged; the rest of the session can be read."""


def code(error: sqlite3.Error) -> int:
    """SQLite's plain result code; 0 where the error did not come from SQLite itself."""
    return (getattr(error, "sqlite_errorcode", 0) or 0) & _PRIMARY


def is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is broken, so that trying again is of no use."""
    # Python's own error, for bytes that are no text any more, has no code.
    return code(error) in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB) or "decode to UTF-8" in str(error)


def sentence(error: sqlite3.Error, folder: Path) -> str:
    """What happened and what to do about it."""
    cause = _CAUSES.get(code(error), "The database in {folder} failed ({error}). Check the drive that it lies on.")
    return cause.format(folder=folder, error=error)
