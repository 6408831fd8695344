"""One warm child process for each viewer, its callbacks turned into Qt signals."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QApplication

from napari_medseg.core.errors import MedsegError
from napari_medseg.core.events import Event, Result
from napari_medseg.core.job import Job
from napari_medseg.run.child import Child


class RunHandle(QObject):
    """One run as the panel sees it; the signals arrive on the viewer's thread."""

    happened = Signal(object)
    succeeded = Signal(object)
    failed = Signal(object)

    def tell_event(self, event: Event) -> None:
        """Hand an event on; called by the child's thread."""
        self.happened.emit(event)

    def tell_result(self, result: Result) -> None:
        """Hand the result on; called by the child's thread."""
        self.succeeded.emit(result)

    def tell_error(self, error: MedsegError) -> None:
        """Hand the error on; called by the child's thread."""
        self.failed.emit(error)


class RunService(QObject):
    """Keeps a child process warm and starts a new one after a close or a death."""

    ready = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._child: Child | None = None
        self._handles: set[RunHandle] = set()
        app = QApplication.instance()
        if app is not None:
            app.aboutToQuit.connect(self.close)

    @property
    def child(self) -> Child:
        """The child; made when it is first asked for."""
        if self._child is None:
            self._child = Child(on_ready=self.ready.emit)
        return self._child

    @property
    def device(self) -> str:
        """The device in words; empty until the child has said so."""
        return self._child.device if self._child is not None else ""

    def warm(self) -> None:
        """Start the process, so that the first run is fast; returns at once."""
        self.child.start()

    def submit(self, tool: str, job: Job, handle: RunHandle) -> None:
        """Run ``tool``; of the handle's ``succeeded`` and ``failed`` one comes exactly once.

        Connect the handle first: a warm child answers before this method has returned.
        """
        self._handles.add(handle)
        handle.succeeded.connect(lambda _result: self._handles.discard(handle))
        handle.failed.connect(lambda _error: self._handles.discard(handle))
        self.child.submit(
            tool, job, on_event=handle.tell_event, on_result=handle.tell_result, on_error=handle.tell_error
        )

    def cancel(self) -> None:
        """Stop the run that is under way and the one that waits."""
        if self._child is not None:
            self._child.cancel()

    def close(self) -> None:
        """End the process; a later ``submit`` starts another."""
        if self._child is not None:
            child, self._child = self._child, None
            child.close()

    def close_with(self, window: QObject) -> None:
        """Close when ``window`` closes."""
        window.installEventFilter(self)

    def eventFilter(self, a0: QObject | None, a1: QEvent | None) -> bool:  # noqa: N802
        """See the window's close event."""
        if a1 is not None and a1.type() == QEvent.Type.Close:
            self.close()
        return super().eventFilter(a0, a1)


def service_of(viewer: Any) -> RunService:
    """The service of a viewer: a child of its window, made when it is first asked for."""
    window = viewer.window._qt_window
    service = window.findChild(RunService)
    if service is None:
        service = RunService(window)
        service.close_with(window)
    return service
