"""Rows with a checksum, the same way for every table.

SQLite notices a page that is torn or out of place, but not a bit that flipped inside a value; the checksum does.
"""

from __future__ import annotations

import json
import sqlite3
import zlib
from collections.abc import Sequence
from typing import Any

COLUMNS: dict[str, tuple[str, ...]] = {
    "meta": ("key", "value"),
    "blobs": ("data",),
    "state": ("slot", "blob"),
    "journal": ("parent", "time_utc", "who", "tool", "name", "boxes", "parameters", "model"),
    "changes": ("journal", "slot", "before", "after"),
    "draft": ("slot", "data"),
}
"""Columns of each table between ``id`` and ``crc``."""


def checksum(fields: Sequence[Any]) -> int:
    """CRC-32 over bytes, text, numbers and None."""
    crc = 0
    for field in fields:
        data = field if isinstance(field, bytes) else json.dumps(field).encode()
        # The separator keeps ("ab", "c") apart from ("a", "bc").
        crc = zlib.crc32(b"\x1f", zlib.crc32(data, crc))
    return crc


def intact(row: Sequence[Any]) -> bool:
    """Whether a row of (columns..., crc) is as it was written."""
    return checksum(row[:-1]) == row[-1]


def select(table: str, where: str = "") -> str:
    """The query for (columns..., crc) of a table."""
    return f"SELECT {', '.join(COLUMNS[table])}, crc FROM {table} {where}"


def write(connection: sqlite3.Connection, table: str, values: Sequence[Any], row_id: int | None = None) -> int:
    """Insert a row, in place of one with the same unique key; return its id."""
    names = ("id", *COLUMNS[table], "crc")
    marks = ", ".join("?" * len(names))
    statement = f"INSERT OR REPLACE INTO {table} ({', '.join(names)}) VALUES ({marks})"
    cursor = connection.execute(statement, (row_id, *values, checksum(values)))
    return int(cursor.lastrowid or 0)
