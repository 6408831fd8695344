"""Puts a repaired database in the place of a damaged one, and keeps the damaged one beside it."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import suppress
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory

from napari_medseg.core.errors import SessionError
from napari_medseg.core.session import salvage, schema
from napari_medseg.core.session.disk import sync_folder

_PART = "session.mending.sqlite"
_READY = "session.mended.sqlite"
_SIDE_FILES = ("-wal", "-shm")


def mend(folder: Path, now: datetime) -> list[str]:
    """Repair the database of a folder that nobody has open; return what happened, in words."""
    part, damaged = folder / _PART, folder / schema.FILE
    try:
        _remove(part)
        lost = salvage.carry_over(damaged, part)
        part.replace(folder / _READY)
        kept = _set_aside(damaged, now)
        finish(folder)
    except OSError as error:
        raise SessionError(
            f"The session {folder} is damaged, and its repair failed: {error.strerror or error}. "
            "A repair needs as much room as the session takes; make room and open it again. Nothing was removed."
        ) from error
    return [f"The database was damaged and has been repaired; the damaged file is kept as {kept.name}.", *lost]


def salvage_aside(folder: Path) -> tuple[TemporaryDirectory[str], list[str]]:
    """Carry what can be read of a damaged database over into a temporary folder; nothing in ``folder`` is touched.

    Returns
    -------
    the folder, which goes when it is cleaned up, with ``schema.FILE`` in it; and what was lost, in words
    """
    aside = TemporaryDirectory(prefix="medseg-")
    damaged, copy = folder / schema.FILE, Path(aside.name) / "damaged.sqlite"
    try:
        for suffix in ("", "-wal"):
            if (part := damaged.with_name(damaged.name + suffix)).exists():
                shutil.copyfile(part, copy.with_name(copy.name + suffix))
        lost = salvage.carry_over(copy, copy.with_name(schema.FILE))
        _remove(copy)
    except (OSError, sqlite3.Error) as error:
        aside.cleanup()
        raise SessionError(
            f"The session {folder} is damaged, and what is left of it could not be copied to {aside.name} ({error}). "
            "Make room there, or choose another folder with the variable TMPDIR."
        ) from error
    return aside, lost


def finish(folder: Path) -> None:
    """Move a repaired database into place: the last step of ``mend``, also where a crash came before it."""
    ready, path = folder / _READY, folder / schema.FILE
    if ready.exists() and not path.exists():
        ready.replace(path)
        sync_folder(folder)


def _set_aside(damaged: Path, now: datetime) -> Path:
    """Rename the damaged file and its log to a name that is free."""
    stem, count = f"session.broken-{now:%Y%m%dT%H%M%S}", 0
    while (kept := damaged.with_name(f"{stem}{f'-{count}' if count else ''}.sqlite")).exists():
        count += 1
    damaged.rename(kept)
    for suffix in _SIDE_FILES:
        with suppress(FileNotFoundError):
            damaged.with_name(damaged.name + suffix).rename(kept.with_name(kept.name + suffix))
    return kept


def _remove(path: Path) -> None:
    for suffix in ("", *_SIDE_FILES):
        path.with_name(path.name + suffix).unlink(missing_ok=True)
