"""The runner panel: run and cancel, progress with time left, result, error, device."""

from __future__ import annotations

import time
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QSizePolicy,
    QStackedLayout,
    QVBoxLayout,
    QWidget,
)

from napari_medseg.core.errors import InputError, MedsegError, RunCancelled
from napari_medseg.core.events import Note, Progress, Result
from napari_medseg.core.job import Job
from napari_medseg.widgets._report import Report
from napari_medseg.widgets._service import RunHandle, RunService
from napari_medseg.widgets._style import ERROR_STYLE, SMALL_STYLE, WARNING_STYLE

STARTING = "Starting the computing process …"
"""Said until a process that still loads is heard of; the first time that takes some seconds."""


class RunnerPanel(QWidget):
    """Carries one run at a time and shows how it goes.

    Its height never changes: what stands below it must not move while someone aims at it.

    Parameters
    ----------
    service
        Carries the runs.
    run_text, run_help
        Text and tooltip of the run button.
    controls
        What else is used while a run goes on; it stands above the messages.
    picture
        Shows how the run goes, in the room that the messages leave.
    """

    runRequested = Signal()
    eventReceived = Signal(object)
    succeeded = Signal(object)
    failed = Signal(object)

    def __init__(
        self,
        service: RunService,
        run_text: str,
        run_help: str,
        *,
        controls: QWidget | None = None,
        picture: QWidget | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._service = service
        self._handle: RunHandle | None = None
        self._began = 0.0
        self._phase = ""
        self._hint = False
        self.run_button = QPushButton(run_text, self)
        self.run_button.setToolTip(run_help)
        self.cancel_button = QPushButton("Cancel", self)
        self.cancel_button.setToolTip("Stop the run; after two seconds it is ended by force. The last result stays.")
        self.progress = QProgressBar(self)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(8)
        self.status_line, self.device_line = _small_line(), _small_line()
        self.result_line, self.error_line = _line(), _line()
        self._small_print = QStackedLayout()
        self.report = Report([self.error_line, self.result_line], picture)
        self._lay_out(controls)
        self.run_button.clicked.connect(self.runRequested)
        self.cancel_button.clicked.connect(self.cancel)
        service.ready.connect(self._show_device)
        self._show_device(service.device)
        self._show_running(False)

    @property
    def running(self) -> bool:
        """Whether a run of this panel is under way."""
        return self._handle is not None

    def start(self, tool: str, job: Job, *, hint: bool = False) -> None:
        """Begin a run; one that is under way is replaced and no longer heard.

        ``hint``: nobody asked for it, so an input that does not fit yet is no failure.
        """
        self.forget()
        self._hint = hint
        self.show_error("")
        self.show_result("")
        self._phase = ""
        self._show_running(True)
        self.progress.setRange(0, 0)
        self.status_line.setText("starting" if self._service.device else STARTING)
        handle = self._handle = RunHandle()
        handle.happened.connect(self._on_event)
        handle.succeeded.connect(self._on_result)
        handle.failed.connect(self._on_error)
        self._service.submit(tool, job, handle)

    def cancel(self) -> None:
        """Ask the run to stop."""
        if self.running:
            self.status_line.setText("stopping")
            self._service.cancel()

    def forget(self) -> None:
        """Hear no more of the run that is under way."""
        if self._handle is not None:
            self._handle.happened.disconnect(self._on_event)
            self._handle.succeeded.disconnect(self._on_result)
            self._handle.failed.disconnect(self._on_error)
            self._handle = None
            self._show_running(False)

    def show_result(self, text: str) -> None:
        """Show the line under the progress bar."""
        self.report.messages.show_text(self.result_line, text)

    def show_error(self, text: str, *, hint: bool = False) -> None:
        """Show what is wrong; ``hint`` where nothing has failed yet."""
        self.error_line.setStyleSheet(WARNING_STYLE if hint else ERROR_STYLE)
        self.report.messages.show_text(self.error_line, text)

    def _on_event(self, event: Any) -> None:
        if self.status_line.text() == STARTING:
            self.status_line.setText("")
        if isinstance(event, Progress):
            self._show_progress(event)
        elif isinstance(event, Note):
            show = self.show_result if event.level == "info" else self._warn
            show(event.message)
        self.eventReceived.emit(event)

    def _warn(self, text: str) -> None:
        self.show_error(text, hint=True)

    def _on_result(self, result: Result) -> None:
        self._finish()
        self.show_result(result.summary)
        self.succeeded.emit(result)

    def _on_error(self, error: MedsegError) -> None:
        self._finish()
        if isinstance(error, RunCancelled):
            self.show_result("Cancelled.")
        else:
            self.show_error(str(error), hint=self._hint and isinstance(error, InputError))
        self.failed.emit(error)

    def _finish(self) -> None:
        self._handle = None
        self._show_running(False)

    def _show_progress(self, event: Progress) -> None:
        if event.message != self._phase:
            # What came before, such as loading libraries, says nothing about the pace from here on.
            self._phase, self._began = event.message, time.monotonic()
        self.progress.setRange(0, event.total)
        self.progress.setValue(event.done)
        parts = [event.message, time_left(event, time.monotonic() - self._began)]
        self.status_line.setText(" · ".join(part for part in parts if part))

    def _show_running(self, running: bool) -> None:
        self.cancel_button.setEnabled(running)
        self.progress.setEnabled(running)
        self._small_print.setCurrentWidget(self.status_line if running else self.device_line)
        if not running:
            self.progress.setRange(0, 1)
            self.progress.reset()
            self.status_line.setText("")

    def _show_device(self, device: str) -> None:
        self.device_line.setText(device or STARTING)

    def _lay_out(self, controls: QWidget | None) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(buttons)
        layout.addWidget(self.progress)
        for line in (self.device_line, self.status_line):
            self._small_print.addWidget(line)
        layout.addLayout(self._small_print)
        if controls is not None:
            layout.addWidget(controls)
        layout.addWidget(self.report)


def time_left(progress: Progress, elapsed_s: float) -> str:
    """How long this part of the run will still take, at its pace so far."""
    if progress.total <= 0 or progress.done <= 0:
        return ""
    seconds = elapsed_s / progress.done * (progress.total - progress.done)
    if seconds < 1:
        return ""
    return f"{seconds:.0f} s left" if seconds < 90 else f"{seconds / 60:.0f} min left"


def _line() -> QLabel:
    label = QLabel()
    label.setWordWrap(True)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    policy = QSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
    policy.setHeightForWidth(True)
    label.setSizePolicy(policy)
    return label


def _small_line() -> QLabel:
    """One line that is as high empty as full, and no reason for a wide panel."""
    label = QLabel()
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setStyleSheet(SMALL_STYLE)
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return label
