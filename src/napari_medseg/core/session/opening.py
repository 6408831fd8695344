"""Makes or opens a session's folder: takes the lock, repairs what is damaged, falls back to reading only."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, field
from pathlib import Path

from napari_medseg.core.errors import InputError, SessionError, StorageError
from napari_medseg.core.session import check, lock, mending, schema, slots, transactions, troubles
from napari_medseg.core.session.action import START, Clock, stamp
from napari_medseg.core.session.database import Database
from napari_medseg.core.session.image_reference import ImageReference
from napari_medseg.core.session.store import Store

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
    """

    database: Database
    lock: lock.Lock | None
    read_only: str = ""
    recovered: list[str] = field(default_factory=list)

    def close(self) -> None:
        """Close the database and let go of the lock."""
        self.database.close()
        if self.lock is not None:
            self.lock.release()


def create_folder(folder: Path, image: ImageReference | None, now: str) -> None:
    """Make a folder with an empty session."""
    _refuse_long(folder)
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


def open_folder(folder: Path, who: str, clock: Clock) -> Opened:
    """Open a folder for writing where possible, else for reading; repair it where it is damaged."""
    _refuse_long(folder)
    if not folder.is_dir():
        raise InputError(f"There is no session at {folder}. Give the folder of one, NAME.medseg.")
    held, reason = _lock(folder, who, stamp(clock()))
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


def _refuse_long(folder: Path) -> None:
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
    recovered: list[str] = []
    try:
        database = Database(folder, writable=held is not None)
    except sqlite3.DatabaseError as error:
        if held is None or not troubles.is_damage(error):
            return _for_reading(folder, held, reason or troubles.sentence(error, folder))
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


def _for_reading(folder: Path, held: lock.Lock | None, reason: str) -> Opened:
    """Open what cannot be written to."""
    if held is not None:
        held.release()
    try:
        opened = Opened(Database(folder, writable=False), None, reason)
    except sqlite3.DatabaseError as error:
        raise SessionError(f"The session {folder} cannot be read. {troubles.sentence(error, folder)}") from error
    _judge_version(opened)
    return opened


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
        for read in (store.newest, store.draft, lambda: store.slots(slots.TILES), lambda: store.slots(slots.DOCS)):
            read()
    except troubles.Unreadable:
        return False
    return found


def _mend(opened: Opened, clock: Clock) -> None:
    database = opened.database
    database.close()
    opened.recovered += mending.mend(database.folder, clock())
    database.open()
