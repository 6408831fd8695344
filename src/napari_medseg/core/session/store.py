"""Reads what is on disk: values of slots, actions and what they changed."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from napari_medseg.core.session import rows
from napari_medseg.core.session.action import Action
from napari_medseg.core.session.database import Database
from napari_medseg.core.session.transactions import Side
from napari_medseg.core.session.troubles import Unreadable

_BLOB_OF = "SELECT holder.blob, blobs.data, blobs.crc"
_REPAIR = "Close the session and say `medseg session repair` with its folder."


class Store:
    """Committed rows of one database. A row with a wrong checksum is never handed out."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def value(self, slot: str) -> bytes | None:
        """What a slot holds; ``None`` for nothing."""
        found = self._database.query(
            f"{_BLOB_OF} FROM state AS holder LEFT JOIN blobs ON blobs.id = holder.blob WHERE slot = ?", (slot,)
        )
        return self._intact(found, slot) if found else None

    def values(self, slots: Sequence[str]) -> dict[str, bytes]:
        """What some slots hold; those that are empty or damaged are left out."""
        marks = ", ".join("?" * len(slots))
        found = self._database.query(
            f"SELECT slot, data, blobs.crc FROM state JOIN blobs ON blobs.id = state.blob WHERE slot IN ({marks})",
            slots,
        )
        return {slot: data for slot, data, crc in found if rows.intact((data, crc))}

    def slots(self, prefix: str) -> list[str]:
        """All slots that hold something and begin with ``prefix``, which ends with a slash."""
        statement = "SELECT slot FROM state WHERE slot >= ? AND slot < ?"
        return [slot for (slot,) in self._database.query(statement, _range_of(prefix))]

    def action(self, row_id: int) -> Action | None:
        """One action; ``None`` where there is no such row."""
        found = self._database.query(rows.select("journal", "WHERE id = ?"), (row_id,))
        return self._action(row_id, found[0]) if found else None

    def page(self, limit: int, below: int) -> list[Action]:
        """The newest actions with an id less than ``below``, newest first; damaged rows are left out."""
        statement = f"SELECT id, {', '.join(rows.COLUMNS['journal'])}, crc FROM journal WHERE id < ? ORDER BY id DESC"
        found = self._database.query(f"{statement} LIMIT ?", (below, limit))
        return [Action.of_row(row_id, row[:-1]) for row_id, *row in found if rows.intact(row)]

    def newest_child(self, row_id: int) -> int | None:
        """The newest action whose parent is ``row_id``."""
        return self._database.query("SELECT MAX(id) FROM journal WHERE parent = ?", (row_id,))[0][0]

    def newest(self) -> int:
        """The greatest id of all actions; 0 for none."""
        return self._database.query("SELECT MAX(id) FROM journal")[0][0] or 0

    def changed(self, row_id: int) -> list[str]:
        """The slots that an action changed."""
        return [slot for (slot,) in self._database.query("SELECT slot FROM changes WHERE journal = ?", (row_id,))]

    def value_at(self, row_id: int, slot: str, side: Side) -> bytes | None:
        """What a slot held before or after an action."""
        found = self._database.query(
            f"{_BLOB_OF} FROM (SELECT {side} AS blob FROM changes WHERE journal = ? AND slot = ?) AS holder "
            "LEFT JOIN blobs ON blobs.id = holder.blob",
            (row_id, slot),
        )
        return self._intact(found, slot) if found else None

    def meta(self, key: str) -> Any:
        """One entry of ``meta``; ``None`` where it is missing or damaged."""
        found = self._database.query(rows.select("meta", "WHERE key = ?"), (key,))
        return json.loads(found[0][1]) if found and rows.intact(found[0]) else None

    def metas(self, prefix: str) -> dict[str, Any]:
        """The intact entries of ``meta`` whose keys begin with ``prefix``, which ends with a slash."""
        found = self._database.query(rows.select("meta", "WHERE key >= ? AND key < ?"), _range_of(prefix))
        return {key: json.loads(value) for key, value, crc in found if rows.intact((key, value, crc))}

    def draft(self) -> tuple[dict[str, bytes | None], int]:
        """The draft that was left, and the number of its values that are damaged."""
        found = self._database.query(rows.select("draft"))
        return {row[0]: row[1] for row in found if rows.intact(row)}, sum(not rows.intact(row) for row in found)

    def _action(self, row_id: int, row: tuple[Any, ...]) -> Action:
        if not rows.intact(row):
            raise Unreadable(f"Action {row_id} of {self._database.folder} is damaged. {_REPAIR}")
        return Action.of_row(row_id, row[:-1])

    def _intact(self, found: list[tuple[Any, ...]], slot: str) -> bytes | None:
        blob, data, crc = found[0]
        if blob is None:
            return None
        if data is None or not rows.intact((data, crc)):
            raise Unreadable(f"What {self._database.folder} holds for {slot} is damaged. {_REPAIR}")
        return data


def _range_of(prefix: str) -> tuple[str, str]:
    """What begins with ``prefix`` as one range of an index: "0" is the character after "/"."""
    return prefix, f"{prefix[:-1]}0"
