"""Moves the folder of an open session."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_medseg.core.errors import InputError, StorageError
from napari_medseg.core.session import lock, opening, schema
from napari_medseg.core.session.opening import Opened

Call = Callable[[Callable[[Any], Any]], Any]


def move(opened: Opened, folder: Path, who: str, since: str, call: Call) -> None:
    """Move the session to a new or empty folder, also on another drive; where that fails it stays where it was.

    Parameters
    ----------
    who, since
        For the lock, which is taken anew.
    call
        Calls a function in the thread that writes.
    """
    opening.refuse_long(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} is there already and is not an empty folder. Choose another name.")
    try:
        call(lambda _connection: _exchange(opened, folder, who, since))
    except OSError as error:
        raise StorageError(
            f"The session stays in {opened.database.folder}; it could not be moved to {folder}: "
            f"{error.strerror or error}. Choose a folder that may be written to, on a disk with room."
        ) from error


def _exchange(opened: Opened, folder: Path, who: str, since: str) -> None:
    database = opened.database
    with database.exclusive():
        database.close()
        # Windows moves no folder in which a file is open.
        if opened.lock is not None:
            opened.lock.release()
        try:
            _transfer(database.folder, folder)
            database.folder, database.path = folder, folder / schema.FILE
        finally:
            try:
                opened.lock = lock.acquire(database.folder, who, since)
            except lock.Taken as taken:
                raise OSError(f"while it was moved, {taken}") from taken
            finally:
                database.open()


def _transfer(old: Path, new: Path) -> None:
    """Rename the folder; copy it where it goes to another drive, and remove the old one when the copy is whole."""
    new.parent.mkdir(parents=True, exist_ok=True)
    if new.exists():
        new.rmdir()
    try:
        old.rename(new)
    except OSError:
        part = new.with_name(f"{new.name}.part")
        try:
            shutil.copytree(old, part)
            part.rename(new)
        except OSError:
            shutil.rmtree(part, ignore_errors=True)
            raise
        shutil.rmtree(old, ignore_errors=True)
