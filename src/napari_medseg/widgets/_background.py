"""Work off the viewer's thread, whose outcome comes back to it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QObject, Qt, Signal

from napari_medseg.core.errors import MedsegError, MemoryShortage

NO_MEMORY = "There is not enough memory for this. Close other images or programs, then try again."


@dataclass(frozen=True)
class _Task:
    future: Future[Any]
    then: Callable[[Any], None]
    failed: Callable[[MedsegError], None]

    def tell(self) -> None:
        """Tell the outcome; an error that nobody expects is raised."""
        error = self.future.exception()
        if isinstance(error, MemoryError):
            error = MemoryShortage(NO_MEMORY)
        if error is None:
            self.then(self.future.result())
        elif isinstance(error, MedsegError):
            self.failed(error)
        else:
            raise error


class Background(QObject):
    """Does one thing after the other in a thread of its own."""

    _ended = Signal()

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="medseg background")
        self._tasks: list[_Task] = []
        # Queued: work that ends at once must not come back before `run` has returned.
        self._ended.connect(self._deliver, type=Qt.ConnectionType.QueuedConnection)  # pyright: ignore[reportCallIssue]

    @property
    def busy(self) -> bool:
        """Whether something is under way, or its outcome not told yet."""
        return bool(self._tasks)

    def run(self, work: Callable[[], Any], then: Callable[[Any], None], failed: Callable[[MedsegError], None]) -> None:
        """Call ``work`` in the thread, and in this one ``then`` with what it returned or ``failed`` with its error."""
        future = self._executor.submit(work)
        self._tasks.append(_Task(future, then, failed))
        future.add_done_callback(self._tell)

    def finish(self, timeout_s: float) -> bool:
        """Wait for all that is under way and tell its outcome now; whether it came to an end in time."""
        wait([task.future for task in self._tasks], timeout_s)
        self._deliver()
        return not self._tasks

    def _tell(self, _future: Future[Any]) -> None:
        try:
            self._ended.emit()
        except RuntimeError:
            # The window is gone, and nobody waits for the outcome.
            return

    def _deliver(self) -> None:
        """In the order in which they were begun, so that the last one asked for has the last word."""
        while self._tasks and self._tasks[0].future.done():
            try:
                self._tasks.pop(0).tell()
            except Exception:
                # What was begun after it has come to its end too.
                self._deliver()
                raise
