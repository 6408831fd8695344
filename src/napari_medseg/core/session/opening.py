"""Makes or opens a session's folder: takes the lock, repairs what is damaged, falls back to reading only."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from napari_medseg.core.errors import InputError, SessionError, StorageError
from napari_medseg.core.session import check, facts, lock, mending, schema, slots, transactions, troubles
from napari_medseg.core.session.action import START, Clock, stamp
from napari_medseg.core.session.database import Database, read_only
from napari_medseg.core.session.image_reference import ImageReference
from napari_medseg.core.session.store import Store

_AS_ASKED = "This session is open for reading only, as was asked."
LONGEST_PATH_BYTES = 500
"""SQLite takes no path of 512 bytes or more, the names of its own files beside it included."""


@dataclass
class Opened:
    """An open folder.

    Parameters
    ----------
    read_only
        Why nothing can be written, in words; empty where writing is possible.
    recovered
        What was found and mended on the way, in words.
    aside
        The temporary folder with what could be read of a damaged database that may not be repaired in its place.
    """

    database: Database
    lock: lock.Lock | None
    read_only: str = ""
    recovered: list[str] = field(default_factory=list)
    aside: TemporaryDirectory[str] | None = None

    def close(self) -> None:
        """Close the database and let go of the lock."""
        self.database.close()
        if self.aside is not None:
            self.aside.cleanup()
        if self.lock is not None:
            self.lock.release()


def create_folder(folder: Path, image: ImageReference | None, now: str) -> None:
    """Make a folder with an empty session."""
    refuse_long(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already and is not an empty folder. Choose another name, or open it.")
    part = folder / "session.new.sqlite"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part.unlink(missing_ok=True)
        schema.create(part)
        _describe(part, image, now)
        # A crash before this leaves no session, after it a whole one.
        part.replace(folder / schema.FILE)
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"A session could not be made in {folder}: {error}. "
            "Choose a folder that may be written to, on a disk with room."
        ) from error


def open_folder(folder: Path, who: str, clock: Clock, *, writable: bool = True) -> Opened:
    """Open a folder for writing where asked and possible, else for reading; repair it where it is damaged."""
    refuse_long(folder)
    if not folder.is_dir():
        raise InputError(f"There is no session at {folder}. Give the folder of one, NAME.medseg.")
    held, reason = _lock(folder, who, stamp(clock())) if writable else (None, _AS_ASKED)
    try:
        if held is not None:
            mending.finish(folder)
        if not (folder / schema.FILE).exists():
            raise InputError(f"{folder} is no session: it has no {schema.FILE}. Give the folder of one, NAME.medseg.")
        return _open(folder, held, reason, clock)
    except BaseException:
        if held is not None:
            held.release()
        raise


def _describe(path: Path, image: ImageReference | None, now: str) -> None:
    connection = schema.connect(path)
    try:
        connection.execute("BEGIN")
        transactions.set_meta(connection, "created", now)
        transactions.set_meta(connection, "head", 0)
        transactions.set_meta(connection, "image", image.as_json() if image else None)
        connection.execute("COMMIT")
    finally:
        connection.close()


def refuse_long(folder: Path) -> None:
    """Raise where SQLite would not take the path."""
    length = len(str(folder.absolute() / schema.FILE).encode("utf-8", "surrogateescape"))
    if length > LONGEST_PATH_BYTES:
        raise InputError(
            f"The path of the session has {length} bytes, and its database takes at most {LONGEST_PATH_BYTES}: "
            f"{folder}. Use a shorter name or a folder nearer to the root."
        )


def _lock(folder: Path, who: str, since: str) -> tuple[lock.Lock | None, str]:
    """The folder's lock, or the reason why the session is for reading only."""
    try:
        return lock.acquire(folder, who, since), ""
    except lock.Taken as taken:
        return None, f"This session is open for reading only: {taken}. Close it there to write here."
    except OSError as error:
        return None, (
            f"This session is open for reading only: {folder} cannot be written to ({error.strerror}). "
            "Allow writing, or copy the folder."
        )


def _open(folder: Path, held: lock.Lock | None, reason: str, clock: Clock) -> Opened:
    if held is None:
        return _for_reading(folder, reason)
    recovered: list[str] = []
    try:
        database = Database(folder, writable=True)
    except sqlite3.DatabaseError as error:
        if not troubles.is_damage(error):
            held.release()
            return _for_reading(folder, troubles.sentence(error, folder))
        recovered += mending.mend(folder, clock())
        database = Database(folder, writable=True)
    opened = Opened(database, held, reason, recovered)
    _judge_version(opened)
    if not opened.read_only:
        usable = _can_be_used(opened)
        sound = check.looks_sound(database.writing) if usable and _ended_badly(opened) else usable
        if not sound:
            _mend(opened, clock)
    return opened


def _for_reading(folder: Path, reason: str) -> Opened:
    """Open what cannot, or need not, be written to; where it is damaged, a copy of what can be read of it."""
    opened = None
    try:
        opened = Opened(Database(folder, writable=False), None, reason)
        _judge_version(opened)
        if not (_can_be_used(opened) and _looks_sound(opened.database.path)):
            opened.close()
            opened = _salvaged(folder, reason)
    except (sqlite3.DatabaseError, troubles.Unreadable) as error:
        if opened is not None:
            opened.close()
        if isinstance(error, sqlite3.Error) and not troubles.is_damage(error):
            raise SessionError(f"The session {folder} cannot be read. {troubles.sentence(error, folder)}") from error
        opened = _salvaged(folder, reason)
    if left := Store(opened.database).meta("draft"):
        opened.recovered.append(f"A stroke of {left['time_utc']} had not ended when this was opened; it is not shown.")
    return opened


def _looks_sound(path: Path) -> bool:
    connection, _ = read_only(path)
    try:
        return check.looks_sound(connection)
    finally:
        connection.close()


def _salvaged(folder: Path, reason: str) -> Opened:
    aside, lost = mending.salvage_aside(folder)
    database = Database(folder, writable=False, path=Path(aside.name) / schema.FILE)
    found = (
        "The database is damaged and is left as it is; a temporary copy shows what could be read of it. "
        "Open the session where it can be written to, or say `medseg session repair` with its folder."
    )
    return Opened(database, None, reason, [found, *lost], aside)


def _judge_version(opened: Opened) -> None:
    """Refuse what is no session; read what a newer version wrote, and leave it as it is."""
    database = opened.database
    tables = {name for (name,) in database.query("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if not set(schema.TABLES) <= tables:
        database.close()
        raise SessionError(
            f"{database.path} is a database, but not that of a session: it has the tables {sorted(tables)}. "
            "Give the folder of a session, NAME.medseg."
        )
    if database.version > schema.VERSION and not opened.read_only:
        opened.read_only = (
            f"This session is open for reading only: a newer version of napari-medseg wrote it (format "
            f"{database.version}, this one writes {schema.VERSION}). Update napari-medseg to write to it."
        )
        opened.close()
        opened.lock, database.writable = None, False
        database.open()


def _ended_badly(opened: Opened) -> bool:
    """Whether the last viewer ended without closing the session; adds the sentence that says so."""
    store = Store(opened.database)
    left = store.meta("open")
    if left is None:
        return False
    newest = store.page(1, 1 << 62)
    last = f"the last one is '{newest[0].name}' of {newest[0].time_utc}" if newest else "there was none yet"
    opened.recovered.append(
        f"The session was not closed when it was open last (by {left['who']} since {left['since']}). "
        f"Every action that reached the disk is here; {last}."
    )
    return True


def _can_be_used(opened: Opened) -> bool:
    """Whether that can be read without which no session works: the head, the list of what is present, a draft."""
    store = Store(opened.database)
    try:
        head = store.meta("head")
        found = head == START or (head is not None and store.action(head) is not None)
        for read in (store.newest, store.draft, lambda: store.metas(facts.PREFIX)):
            read()
        for prefix in (slots.TILES, slots.DOCS):
            store.slots(prefix)
    except troubles.Unreadable:
        return False
    return found


def _mend(opened: Opened, clock: Clock) -> None:
    database = opened.database
    database.close()
    opened.recovered += mending.mend(database.folder, clock())
    database.open()
