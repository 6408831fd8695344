"""Reads all that can be read of a table in a damaged file.

Strategy
--------
Rows are asked for by ranges of their id. Where a range fails it is halved, down to the single rows that are gone.
Where even the last id cannot be found, as in a file that was cut off, reading stops after a long stretch of nothing.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

from napari_medseg.core.session import rows

CHUNK = 1024
GIVE_UP = 16 * CHUNK
"""Ids without a readable row after which a table of unknown length counts as read."""

Row = tuple[Any, ...]


def readable(
    connection: sqlite3.Connection, table: str, on_gap: Callable[[int], object] = lambda row_id: None
) -> Iterator[Row]:
    """Rows as (id, columns..., crc), in the order of their ids.

    What cannot be read is passed over; ``on_gap`` is called with the id where it would be.
    """
    start = _bound(connection, "MIN", table) or 1
    last = _bound(connection, "MAX", table)
    if last is None:
        on_gap(start)
    empty = 0
    while (start <= last) if last is not None else (empty < GIVE_UP):
        stop = start + CHUNK - 1 if last is None else min(start + CHUNK - 1, last)
        found = list(_range(connection, table, start, stop, on_gap))
        empty = 0 if found else empty + CHUNK
        yield from found
        start = stop + 1


def _bound(connection: sqlite3.Connection, function: str, table: str) -> int | None:
    """The first or last id: 0 for an empty table, ``None`` where it cannot be read."""
    try:
        return connection.execute(f"SELECT {function}(id) FROM {table}").fetchone()[0] or 0
    except sqlite3.DatabaseError:
        return None


def _range(
    connection: sqlite3.Connection, table: str, start: int, stop: int, on_gap: Callable[[int], object]
) -> Iterator[Row]:
    columns = ", ".join(rows.COLUMNS[table])
    query = f"SELECT id, {columns}, crc FROM {table} NOT INDEXED WHERE id BETWEEN ? AND ? ORDER BY id"
    try:
        yield from connection.execute(query, (start, stop)).fetchall()
    except sqlite3.DatabaseError:
        if start == stop:
            on_gap(start)
            return
        middle = (start + stop) // 2
        yield from _range(connection, table, start, middle, on_gap)
        yield from _range(connection, table, middle + 1, stop, on_gap)
