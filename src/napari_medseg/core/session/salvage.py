"""Carries all that can be read of a damaged database over into a new one, and makes that one consistent.

Strategy
--------
1. Each table is read row by row; a row with a wrong checksum is left behind.
2. An action that others refer to and that is gone gets a stand-in, so that the history stays one tree.
3. A change whose bytes before or after are gone gets the other ones twice: undo leaves that tile as it is.
4. A slot whose bytes are gone goes back to its newest version in the history; one whose row is gone gets what the
   last action on the way to the head left in it. Which these are is left in the new file: an earlier tile does not
   fit the coarser ones above it, and only the owner of the layer can bring them to agree.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from napari_medseg.core.session import facts, lineage, reading, rows, schema, slots
from napari_medseg.core.session.action import START, Action
from napari_medseg.core.session.transactions import get_meta, point, set_meta

_SIZE_IN_PAGES = slice(28, 32)
_FREE_PAGES = slice(32, 40)
"""Fields of the file's header; see "The Database Header" in SQLite's description of its file format."""

_CONTENT = {
    "meta": "the general entries",
    "blobs": "the stored tiles and documents",
    "state": "the list of what is present",
    "journal": "the history",
    "changes": "what the actions changed",
    "draft": "the stroke that was not finished",
}

Sentences = list[str]


def carry_over(damaged: Path, fresh: Path) -> Sentences:
    """Fill the new file ``fresh`` from ``damaged``; return what was lost, in words."""
    schema.create(fresh)
    source, target = _open_damaged(damaged), schema.connect(fresh)
    try:
        target.execute("BEGIN IMMEDIATE")
        gaps = {table: _copy(source, target, table) for table in rows.COLUMNS}
        lost = _make_consistent(target)
        target.execute("COMMIT")
        return [_what_is_left(target), *_said_of(gaps), *lost]
    finally:
        source.close()
        target.close()
        _with_new_header(damaged).unlink(missing_ok=True)


def _make_consistent(target: sqlite3.Connection) -> Sentences:
    """Repair what refers to rows that are gone; return what was lost, in words."""
    lost: Sentences = []
    target.execute("CREATE TEMP VIEW blob_ids AS SELECT id FROM main.blobs")
    if count := _stand_in_for_actions(target):
        lost.append(f"{count} actions lost their names; what they changed is kept, and undo passes through them.")
    if names := _close_gaps_in_changes(target):
        listed = ", ".join(f"'{name}' ({count})" for name, count in names.most_common(5))
        lost.append(f"{sum(names.values())} changes can no longer be undone and stay as they are: {listed}.")
    head = _find_head(target)
    return lost + _restore_slots(target, head)


def _what_is_left(target: sqlite3.Connection) -> str:
    """What the new file holds, in words."""
    count, newest = target.execute("SELECT COUNT(*), MAX(time_utc) FROM journal").fetchone()
    values = target.execute("SELECT COUNT(*) FROM state").fetchone()[0]
    return f"It holds {count} actions{f' up to {newest}' if newest else ''}, and {values} tiles and documents."


def _said_of(gaps: Mapping[str, int]) -> Sentences:
    """Which tables could not be read through, in words."""
    broken = [_CONTENT[table] for table, count in gaps.items() if count]
    return [f"Parts of {', '.join(broken)} could not be read."] if broken else ["All of the file could be read."]


def _copy(source: sqlite3.Connection, target: sqlite3.Connection, table: str) -> int:
    """Copy the intact rows of a table; return the number of gaps and of damaged rows."""
    gaps: list[int] = []
    for row_id, *row in reading.readable(source, table, gaps.append):
        if rows.intact(row):
            rows.write(target, table, row[:-1], row_id)
        else:
            gaps.append(row_id)
    return len(gaps)


def _open_damaged(path: Path) -> sqlite3.Connection:
    """A connection to the damaged file, or to a copy with a new header where its own is unreadable."""
    try:
        return _open_leniently(path)
    except sqlite3.DatabaseError:
        copy = _with_new_header(path)
        for suffix in ("", "-wal"):
            if (part := path.with_name(path.name + suffix)).exists():
                shutil.copyfile(part, copy.with_name(copy.name + suffix))
        _renew_header(copy)
        return _open_leniently(copy)


def _open_leniently(path: Path) -> sqlite3.Connection:
    connection = schema.connect(path, lenient=True)
    try:
        schema.version(connection)
    except sqlite3.DatabaseError:
        connection.close()
        raise
    return connection


def _with_new_header(path: Path) -> Path:
    return path.with_name(f"{path.stem}.header.sqlite")


def _renew_header(path: Path) -> None:
    """Put the first page of a new database in place: our tables always begin on the same pages."""
    model = path.with_name(f"{path.stem}.model.sqlite")
    model.unlink(missing_ok=True)
    schema.create(model)
    whole = model.read_bytes()
    model.unlink()
    # A table whose first page is gone would make the whole file unreadable; an empty page makes that table so.
    size = max(path.stat().st_size, len(whole))
    page = bytearray(whole[: schema.PAGE_BYTES])
    page[_SIZE_IN_PAGES] = (size // schema.PAGE_BYTES).to_bytes(4, "big")
    page[_FREE_PAGES] = bytes(8)
    with path.open("r+b") as file:
        file.truncate(size)
        file.write(page)


def _stand_in_for_actions(target: sqlite3.Connection) -> int:
    """Write an action for each id that is referred to and gone; its parent is the newest action before it."""
    known = {row_id for (row_id,) in target.execute("SELECT id FROM journal")}
    named = {row_id for (row_id,) in target.execute("SELECT parent FROM journal UNION SELECT journal FROM changes")}
    gone = sorted(named - known - {START})
    for row_id in gone:
        before = target.execute("SELECT MAX(id) FROM journal WHERE id < ?", (row_id,)).fetchone()[0] or START
        action = Action(row_id, before, "", "", "", "Damaged entry")
        rows.write(target, "journal", action.fields(), row_id)
    return len(gone)


def _close_gaps_in_changes(target: sqlite3.Connection) -> Counter[str]:
    """Let a change with a lost side have the other on both; drop it where both are lost. Count by action's name."""
    broken = target.execute(
        "SELECT changes.id, journal, slot, before, after, name, before IN blob_ids, after IN blob_ids FROM "
        "changes JOIN journal ON journal.id = changes.journal WHERE before NOT IN blob_ids OR after NOT IN blob_ids"
    ).fetchall()
    for row_id, journal, slot, before, after, _, has_before, has_after in broken:
        # A side that is empty is NULL, and neither in nor out of the list; only 0 means lost.
        kept = [blob for blob, there in ((before, has_before), (after, has_after)) if there != 0]
        target.execute("DELETE FROM changes WHERE id = ?", (row_id,))
        if kept:
            rows.write(target, "changes", (journal, slot, kept[0], kept[0]), row_id)
    return Counter(row[5] for row in broken)


def _find_head(target: sqlite3.Connection) -> int:
    """The head that was noted; where that is gone, the newest action that agrees with the state."""
    noted = get_meta(target, "head")
    ids = [row_id for (row_id,) in target.execute("SELECT id FROM journal ORDER BY id DESC")]
    if noted is None or noted not in (*ids, START):
        noted = next((row_id for row_id in ids if _agrees(target, row_id)), ids[0] if ids else START)
        set_meta(target, "head", noted)
    return noted


def _agrees(target: sqlite3.Connection, row_id: int) -> bool:
    """Whether each slot that an action changed holds what the action left in it."""
    differing = target.execute(
        "SELECT COUNT(*) FROM changes LEFT JOIN state ON state.slot = changes.slot "
        "WHERE journal = ? AND after IS NOT state.blob",
        (row_id,),
    )
    return differing.fetchone()[0] == 0


def _restore_slots(target: sqlite3.Connection, head: int) -> Sentences:
    """Fill slots whose row or bytes are gone from the history."""
    wanted = lineage.left_in_slots(target, head)
    held = {slot for (slot,) in target.execute("SELECT slot FROM state")}
    for slot, blob in wanted.items():
        if blob is not None and slot not in held:
            point(target, slot, blob)
    broken = [slot for (slot,) in target.execute("SELECT slot FROM state WHERE blob NOT IN blob_ids")]
    for slot in broken:
        point(target, slot, wanted[slot] if slot in wanted else _newest_version(target, slot))
    held = {slot for (slot,) in target.execute("SELECT slot FROM state")}
    earlier = [slot for slot in broken if slot in held]
    lost = sorted(set(broken) - set(earlier))
    _note(target, earlier, lost)
    sentences = {
        "went back to an earlier version of theirs": earlier,
        "are lost": lost,
    }
    return [f"{_named(found)} {what}." for what, found in sentences.items() if found]


def _note(target: sqlite3.Connection, earlier: list[str], lost: list[str]) -> None:
    """Leave word of what changed, for whoever can tell where in the image that is and bring its levels to agree."""
    key = facts.PREFIX + facts.MENDED
    noted = get_meta(target, key) or {}
    both = {
        "earlier": sorted({*noted.get("earlier", ()), *earlier}),
        "lost": sorted({*noted.get("lost", ()), *lost}),
    }
    set_meta(target, key, {**both, "settled": []})


def _newest_version(target: sqlite3.Connection, slot: str) -> int | None:
    """The newest bytes that any action names for a slot."""
    found = target.execute("SELECT after, before FROM changes WHERE slot = ? ORDER BY journal DESC", (slot,))
    return next((blob for pair in found for blob in pair if blob is not None), None)


def _named(found: list[str]) -> str:
    """How many tiles and which documents, in words."""
    tiles = sum(map(slots.is_tile, found))
    docs = [slots.doc(slot) for slot in found if not slots.is_tile(slot)]
    parts = [f"{tiles} tiles"] * bool(tiles) + [f"the documents {', '.join(docs)}"] * bool(docs)
    return " and ".join(parts)
