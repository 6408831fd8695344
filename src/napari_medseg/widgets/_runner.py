"""The runner panel: run and cancel, progress with time left, result, error, device."""

from __future__ import annotations

import time
from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QProgressBar, QPushButton, QSizePolicy, QVBoxLayout, QWidget

from napari_medseg.core.errors import InputError, MedsegError, RunCancelled
from napari_medseg.core.events import Note, Progress, Result
from napari_medseg.core.job import Job
from napari_medseg.widgets._service import RunHandle, RunService

ERROR_STYLE = "color: #ff8a75"
WARNING_STYLE = "color: #f2c231"
SMALL_STYLE = "color: #9a9a9a; font-size: 9pt"


class RunnerPanel(QWidget):
    """Carries one run at a time and shows how it goes.

    Parameters
    ----------
    service
        Carries the runs.
    run_text, run_help
        Text and tooltip of the run button.
    """

    runRequested = Signal()
    eventReceived = Signal(object)
    succeeded = Signal(object)
    failed = Signal(object)

    def __init__(self, service: RunService, run_text: str, run_help: str, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._service = service
        self._handle: RunHandle | None = None
        self._began = 0.0
        self._hint = False
        self.run_button = QPushButton(run_text, self)
        self.run_button.setToolTip(run_help)
        self.cancel_button = QPushButton("Cancel", self)
        self.cancel_button.setToolTip("Stop the run; after two seconds it is ended by force. The last result stays.")
        self.progress = QProgressBar(self)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(8)
        self.status_line, self.result_line, self.error_line, self.device_line = _line(), _line(), _line(), _line()
        self.status_line.setStyleSheet(SMALL_STYLE)
        self.error_line.setStyleSheet(ERROR_STYLE)
        self.device_line.setStyleSheet(SMALL_STYLE)
        self._lay_out()
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
        self._began = time.monotonic()
        self._show_running(True)
        self.progress.setRange(0, 0)
        _show(self.status_line, "starting")
        handle = self._handle = RunHandle()
        handle.happened.connect(self._on_event)
        handle.succeeded.connect(self._on_result)
        handle.failed.connect(self._on_error)
        self._service.submit(tool, job, handle)

    def cancel(self) -> None:
        """Ask the run to stop."""
        if self.running:
            _show(self.status_line, "stopping")
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
        _show(self.result_line, text)

    def show_error(self, text: str, *, hint: bool = False) -> None:
        """Show what is wrong; ``hint`` where nothing has failed yet."""
        self.error_line.setStyleSheet(WARNING_STYLE if hint else ERROR_STYLE)
        _show(self.error_line, text)

    def _on_event(self, event: Any) -> None:
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
        self.progress.setRange(0, event.total)
        self.progress.setValue(event.done)
        parts = [event.message, time_left(event, time.monotonic() - self._began)]
        _show(self.status_line, " · ".join(part for part in parts if part))

    def _show_running(self, running: bool) -> None:
        self.cancel_button.setEnabled(running)
        self.progress.setEnabled(running)
        if not running:
            self.progress.setRange(0, 1)
            self.progress.reset()
            _show(self.status_line, "")

    def _show_device(self, device: str) -> None:
        self.device_line.setText(device or "Warming up …")

    def _lay_out(self) -> None:
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 2)
        buttons.addWidget(self.cancel_button, 1)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(buttons)
        for widget in (self.progress, self.status_line, self.result_line, self.error_line, self.device_line):
            layout.addWidget(widget)
        for line in (self.status_line, self.result_line, self.error_line):
            line.hide()


def time_left(progress: Progress, elapsed_s: float) -> str:
    """How long the run will still take, at the pace so far."""
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
    label.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Minimum)
    return label


def _show(label: QLabel, text: str) -> None:
    label.setText(text)
    label.setVisible(bool(text))
