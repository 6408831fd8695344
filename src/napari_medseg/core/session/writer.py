"""A thread that writes, so that a slow or full disk never holds up the viewer.

What cannot be written waits in memory and is tried again, in order, until it is on disk.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from napari_medseg.core.errors import SessionError, StorageError
from napari_medseg.core.session import troubles
from napari_medseg.core.session.database import Database

GROUP = 32
"""Writes that share one commit where the disk lags behind; alone, each has its own."""

FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.1, 2.0


@dataclass(frozen=True)
class Task:
    """One write, and what to do once it is on disk; or a call of its own, whose outcome ``future`` gets."""

    write: Callable[[sqlite3.Connection], Any]
    done: Callable[[], None]
    future: Future[Any] | None = None


def nothing() -> None:
    """For tasks after which nothing is to be done."""


class Writer:
    """Writes tasks in the order in which they come.

    Parameters
    ----------
    on_trouble
        Called in the writer's thread: with a sentence when writing begins to fail, with ``None`` when it works again.
    mend
        Called in the writer's thread where the file turns out to be damaged; makes it readable again.
    """

    def __init__(self, database: Database, on_trouble: Callable[[str | None], None], mend: Callable[[], None]) -> None:
        self._database, self._on_trouble, self._mend = database, on_trouble, mend
        self._queue: deque[Task] = deque()
        self._changed = threading.Condition()
        self._stopping = False
        self.trouble: str | None = None
        # A daemon: the interpreter must be able to end, and Session flushes at exit.
        self._thread = threading.Thread(target=self._run, name="medseg session writer", daemon=True)
        self._thread.start()

    @property
    def waiting(self) -> int:
        """How many writes are not on disk yet."""
        return len(self._queue)

    def put(self, write: Callable[[sqlite3.Connection], Any], done: Callable[[], None] = nothing) -> None:
        """Write soon, and retry until it worked."""
        self._add(Task(write, done))

    def call(self, action: Callable[[sqlite3.Connection], Any]) -> Any:
        """Do something that has transactions of its own, after all that waits; return or raise what it does."""
        future: Future[Any] = Future()
        self._add(Task(action, nothing, future))
        return future.result()

    def flush(self, timeout: float | None = None) -> None:
        """Wait until all is on disk; StorageError where it is not in time."""
        with self._changed:
            self._changed.wait_for(lambda: not self._queue or not self._thread.is_alive(), timeout)
            if not self._queue:
                return
        lag = f"The drive needed more than {timeout} s. Wait, or look at it."
        raise StorageError(f"{self.waiting} changes are not on disk yet. {self.trouble or lag}")

    def stop(self) -> None:
        """End the thread; what still waits is given up."""
        with self._changed:
            self._stopping = True
            self._changed.notify_all()
        self._thread.join()

    def _add(self, task: Task) -> None:
        with self._changed:
            if not self._thread.is_alive():
                raise SessionError("The session is closed, or its writer has failed. Open the session again.")
            self._queue.append(task)
            self._changed.notify_all()

    def _run(self) -> None:
        while group := self._next_group():
            if group[0].future is not None:
                self._call(group[0])
            elif not self._write_until_done(group):
                return
            with self._changed:
                for _ in group:
                    self._queue.popleft()
                self._changed.notify_all()

    def _next_group(self) -> list[Task]:
        """Tasks for one commit; they stay in the queue until they are on disk. Empty when stopping."""
        with self._changed:
            self._changed.wait_for(lambda: self._queue or self._stopping)
            group: list[Task] = []
            for task in [] if self._stopping else list(self._queue)[:GROUP]:
                if task.future is not None:
                    return group or [task]
                group.append(task)
            return group

    def _write_until_done(self, group: list[Task]) -> bool:
        """Whether the group is on disk; False when asked to stop before."""
        pause, may_mend = FIRST_PAUSE_S, True
        while (error := self._attempt(group)) is not None:
            if may_mend and troubles.is_damage(error):
                # Once: a drive that breaks what was just repaired must not fill up with copies.
                may_mend = False
                if self._mended():
                    continue
            self._report(troubles.sentence(error, self._database.folder))
            if self._stopped_within(pause):
                return False
            pause = min(2 * pause, LONGEST_PAUSE_S)
        self._report(None)
        for task in group:
            task.done()
        return True

    def _attempt(self, group: list[Task]) -> sqlite3.Error | None:
        """One transaction; the error that took it back, if any."""
        try:
            connection = self._database.writing
        except sqlite3.Error as error:
            return error
        try:
            connection.execute("BEGIN IMMEDIATE")
            for task in group:
                task.write(connection)
            connection.execute("COMMIT")
        except sqlite3.Error as error:
            roll_back(connection)
            return error
        return None

    def _call(self, task: Task) -> None:
        assert task.future is not None
        try:
            task.future.set_result(task.write(self._database.writing))
        except (sqlite3.Error, OSError, SessionError) as error:
            task.future.set_exception(error)

    def _mended(self) -> bool:
        try:
            self._mend()
        except (sqlite3.Error, OSError, SessionError):
            return False
        return True

    def _report(self, trouble: str | None) -> None:
        if trouble != self.trouble:
            self.trouble = trouble
            self._on_trouble(trouble)

    def _stopped_within(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        with self._changed:
            return self._changed.wait_for(lambda: self._stopping, max(0.0, end - time.monotonic()))


def roll_back(connection: sqlite3.Connection) -> None:
    """Take back an open transaction; SQLite has often done so itself by then."""
    if connection.in_transaction:
        connection.execute("ROLLBACK")
