"""Where sessions lie that nobody has named yet, and what was done in the last of them."""

from __future__ import annotations

import itertools
import os
import re
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import platformdirs

from napari_medseg.core.errors import MedsegError
from napari_medseg.core.session import Session, lock, schema

SUFFIX = ".medseg"

_STAMPED = re.compile(r"(.+) \d{4}-\d\d-\d\d \d\d\.\d\d\.\d\d( \d+)?")
_UNASKED = "names are not asked for"
"""A file with this name, beside the sessions, stands for the answer "do not ask again"."""

VARIABLE = "NAPARI_MEDSEG_SESSIONS"

LONGEST_NAME = 60
"""Characters of an image's name in that of a session; paths to databases must be short."""

MOST_LOOKED_AT = 10
"""Sessions that are opened in search of the last work: others may be in use, empty or damaged."""

_UNFINISHED = "had not ended"
"""In what a session says where a crash came in the middle of a stroke."""


@dataclass(frozen=True)
class Work:
    """What was done in a session, for the question whether to go on with it.

    Parameters
    ----------
    last
        Name of the newest action, and when it was done, in UTC.
    """

    folder: Path
    actions: int
    last: str
    time_utc: str


def user_folder() -> Path:
    """Where sessions lie that nobody has named; the variable NAPARI_MEDSEG_SESSIONS overrides it."""
    given = os.environ.get(VARIABLE)
    return Path(given) if given else Path(platformdirs.user_data_dir("napari-medseg", appauthor=False)) / "sessions"


def new_folder(name: str, now: datetime) -> Path:
    """A folder, not made yet, for a session on the image called ``name``."""
    plain = re.sub(r'[\\/:*?"<>|\x00-\x1f]+', " ", name)[:LONGEST_NAME].strip(" .") or "image"
    stem = f"{plain} {now:%Y-%m-%d %H.%M.%S}"
    names = itertools.chain([stem], (f"{stem} {number}" for number in itertools.count(2)))
    return next(path for path in (user_folder() / f"{each}{SUFFIX}" for each in names) if not path.exists())


def is_automatic(folder: Path) -> bool:
    """Whether a session lies where those do that nobody has named."""
    return folder.resolve().parent == user_folder().resolve()


def subject(folder: Path) -> str:
    """What a session is about: its name, without the time that `new_folder` adds to that of the image."""
    found = _STAMPED.fullmatch(folder.stem)
    return found[1] if found else folder.stem


def may_ask() -> bool:
    """Whether the user wants to be asked for a name when a viewer closes."""
    return not (user_folder() / _UNASKED).exists()


def stop_asking() -> None:
    """Ask no more."""
    user_folder().mkdir(parents=True, exist_ok=True)
    (user_folder() / _UNASKED).write_text("Remove this file to be asked for a name of your work again.\n")


def discard(folder: Path) -> None:
    """Remove a session that nobody has named and in which nothing was done; others stay."""
    if is_automatic(folder) and (folder / schema.FILE).is_file():
        shutil.rmtree(folder, ignore_errors=True)


def last_work() -> Work | None:
    """The newest work in a session that nobody has named and that no viewer has open; ``None`` for none."""
    for folder in sorted(user_folder().glob(f"*{SUFFIX}"), key=_changed, reverse=True)[:MOST_LOOKED_AT]:
        work = None if _in_use(folder) else _work(folder)
        if work is not None:
            return work
    return None


def _work(folder: Path) -> Work | None:
    try:
        with Session.open(folder, writable=False) as session:
            newest = session.history(1)
            if newest:
                return Work(folder, session.info().actions, newest[0].action.name, newest[0].action.time_utc)
            unfinished = any(_UNFINISHED in sentence for sentence in session.recovered)
            return Work(folder, 0, "Recovered stroke", "") if unfinished else None
    except (MedsegError, OSError):
        return None


def _in_use(folder: Path) -> bool:
    try:
        lock.acquire(folder, "", "").release()
    except lock.Taken:
        return True
    except OSError:
        return False
    return False


def _changed(folder: Path) -> float:
    """When something was written last; the log is written first, the database only now and then."""
    files = (folder / schema.FILE, folder / f"{schema.FILE}-wal")
    return max((path.stat().st_mtime for path in files if path.is_file()), default=0.0)
