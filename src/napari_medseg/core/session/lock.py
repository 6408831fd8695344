"""One writer at a time: a lock on a file that the operating system lets go of when the process ends, however it ends.

The file also says who holds it, for the sentence that the second one gets.
"""

from __future__ import annotations

import errno
import getpass
import json
import os
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from napari_medseg.core.session.action import clean

FILE = "lock"
_FAR = 1 << 30
"""Windows locks bytes and forbids reading them; this one lies beyond the text."""

_TAKEN = (errno.EACCES, errno.EAGAIN, errno.EDEADLK)


class Taken(Exception):
    """Somebody else holds the lock; the message says who."""


@dataclass
class Lock:
    """A lock that is held; ``descriptor`` is ``None`` on a drive that knows no locks."""

    descriptor: int | None

    def release(self) -> None:
        """Let go. The file stays: removing it would let two others each hold a lock on another file."""
        if self.descriptor is not None:
            with suppress(OSError):
                os.truncate(self.descriptor, 0)
            os.close(self.descriptor)
            self.descriptor = None


def acquire(folder: Path, who: str, since: str) -> Lock:
    """Hold the folder's lock.

    Raises
    ------
    Taken
        Where another session holds it, in this process or another.
    OSError
        Where the file cannot be written to.
    """
    path = folder / FILE
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o666)
    try:
        _hold(descriptor)
    except OSError as error:
        os.close(descriptor)
        if error.errno in _TAKEN:
            raise Taken(_holder(path)) from error
        # A network drive without locks: one must be able to work there.
        return Lock(None)
    holder = {"who": clean(who), "host": socket.gethostname(), "pid": os.getpid(), "since": since}
    # On a full disk the lock holds without a name.
    with suppress(OSError):
        os.truncate(descriptor, 0)
        os.write(descriptor, json.dumps(holder).encode())
    return Lock(descriptor)


def _hold(descriptor: int) -> None:
    if sys.platform == "win32":
        import msvcrt

        os.lseek(descriptor, _FAR, os.SEEK_SET)
        msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        os.lseek(descriptor, 0, os.SEEK_SET)
    else:
        import fcntl

        # flock, not lockf: it also keeps two sessions of one process apart.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _holder(path: Path) -> str:
    try:
        holder = json.loads(path.read_text())
        return f"{holder['who']} has it open on {holder['host']} (process {holder['pid']}) since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another viewer has it open"


def user_name() -> str:
    """Who is logged in."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"
