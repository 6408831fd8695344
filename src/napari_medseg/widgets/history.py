"""The History panel: what was done in a session, the way back to any of it, and where it is kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import napari.viewer
from qtpy.QtCore import QItemSelectionModel, QModelIndex, QSize, Qt, QTimer
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMessageBox,
    QPushButton,
    QTreeView,
    QVBoxLayout,
    QWidget,
)

from napari_medseg.core.errors import MedsegError
from napari_medseg.core.session import Info, Session
from napari_medseg.io import session_folders
from napari_medseg.widgets._history_model import HistoryModel
from napari_medseg.widgets._layout import beside, column, heading, wrapped
from napari_medseg.widgets._naming import choose_place
from napari_medseg.widgets._offer import LastWork
from napari_medseg.widgets._sessions import SessionService, sessions_of
from napari_medseg.widgets._style import ERROR_STYLE, SMALL_STYLE, WARNING_STYLE

LEAST_WIDTH, USUAL_WIDTH = 280, 340

LEAST_ROWS = 7
"""Of the list, with its header."""

LIST_MS, COST_MS = 50, 1000
"""Rest after a change before the list, and the cost on disk, are read anew."""

NO_SESSION = "No session is open. One begins by itself when you press New in the Teach panel."
NO_NAME = "Not named yet. It is kept on this computer; Save session as gives it a name and a place."


class HistoryWidget(QWidget):
    """Lists the actions of the viewer's session; a click goes there.

    Parameters
    ----------
    viewer
        The viewer that the panel belongs to.
    """

    def __init__(self, viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.sessions: SessionService = sessions_of(viewer)
        self._list_timer, self._cost_timer = self._timer(LIST_MS, self._refresh), self._timer(COST_MS, self._show_cost)
        self._make_controls()
        self._lay_out()
        self._connect()
        self._refresh()

    def showEvent(self, a0: QShowEvent | None) -> None:
        """Catch up with what happened while the panel was hidden."""
        super().showEvent(a0)
        self._refresh()

    def sizeHint(self) -> QSize:
        """Wide enough for the usual names."""
        return super().sizeHint().expandedTo(QSize(USUAL_WIDTH, 0))

    # ------------------------------------------------------------------ building

    def _timer(self, milliseconds: int, action: Any) -> QTimer:
        timer = QTimer(self)
        timer.setSingleShot(True)
        timer.setInterval(milliseconds)
        timer.timeout.connect(action)
        return timer

    def _make_controls(self) -> None:
        self.name_line = heading("")
        self.place_line, self.cost_line = wrapped(SMALL_STYLE), wrapped(SMALL_STYLE)
        self.notice_line, self.error_line, self.result_line = wrapped(WARNING_STYLE), wrapped(ERROR_STYLE), wrapped()
        self.offer = LastWork(self.sessions, self)
        self.undo_button = QPushButton("Undo")
        self.redo_button = QPushButton("Redo")
        self.model = HistoryModel(self)
        self.list = _list(self.model)
        self.compact_button = _button("Compact history…", "Make the session smaller on disk; you are asked first.")
        self.save_button = _button("Save session as…", "Give the session a name and a place; it moves there.")
        self.open_button = _button("Open session…", "Open a session (a folder NAME.medseg) with its image and labels.")

    def _lay_out(self) -> None:
        steps, files = QHBoxLayout(), QHBoxLayout()
        for row, buttons in (
            (steps, (self.undo_button, self.redo_button)),
            (files, (self.save_button, self.open_button)),
        ):
            row.setSpacing(4)
            for button in buttons:
                row.addWidget(button, 1)
        layout: QVBoxLayout = column(self)
        for line in (self.name_line, self.place_line, self.offer, self.notice_line):
            layout.addWidget(line)
        layout.addLayout(steps)
        layout.addWidget(self.list, 1)
        layout.addLayout(beside(self.cost_line, self.compact_button))
        for line in (self.error_line, self.result_line):
            layout.addWidget(line)
        layout.addLayout(files)
        self.setMinimumWidth(LEAST_WIDTH)

    def _connect(self) -> None:
        self.sessions.changed.connect(self._list_timer.start)
        self.undo_button.clicked.connect(self.sessions.undo)
        self.redo_button.clicked.connect(self.sessions.redo)
        self.list.clicked.connect(self._go_to)
        self.list.activated.connect(self._go_to)
        self.compact_button.clicked.connect(self._ask_compact)
        self.save_button.clicked.connect(self._ask_place)
        self.open_button.clicked.connect(self._ask_session)

    # ------------------------------------------------------------------ showing

    def _refresh(self) -> None:
        session = self.sessions.session
        if not self.isVisible() and session is not None:
            # Whoever opens the panel reads it then; strokes are not slowed down by a list that nobody sees.
            return
        self._show_session(session)
        try:
            self._show_steps(session)
            self.model.reload(session)
        except MedsegError as error:
            # A row that is left could be of another session.
            self.model.reload(None)
            self._say(error=str(error))
        self._mark_head()
        self._cost_timer.start()

    def _show_session(self, session: Session | None) -> None:
        self.name_line.setText("No session" if session is None else session.folder.stem)
        self.name_line.setToolTip("" if session is None else str(session.folder))
        if session is None:
            place = NO_SESSION
        else:
            place = NO_NAME if self.sessions.is_automatic else str(session.folder.parent)
        _show(self.place_line, place)
        _show(self.notice_line, "\n".join(filter(None, [*self.sessions.notices, self.sessions.trouble])))
        may_write = session is not None and not session.read_only
        self.compact_button.setEnabled(may_write)
        self.save_button.setEnabled(may_write)

    def _show_steps(self, session: Session | None) -> None:
        writable = session is not None and not session.read_only
        undo, redo = (session.undo_name, session.redo_name) if session is not None and writable else (None, None)
        self.undo_button.setEnabled(undo is not None)
        self.redo_button.setEnabled(redo is not None)
        self.undo_button.setToolTip(f"Take back: {undo}" if undo else "Nothing to take back.")
        self.redo_button.setToolTip(f"Do again: {redo}" if redo else "Nothing to do again.")

    def _mark_head(self) -> None:
        """Keep the keyboard's place, and what is in sight, at the newest action in effect."""
        row = self.model.head_row()
        selection = self.list.selectionModel()
        if row >= 0 and selection is not None:
            index = self.model.index(row, 0)
            rows = QItemSelectionModel.SelectionFlag.Rows
            selection.setCurrentIndex(index, QItemSelectionModel.SelectionFlag.ClearAndSelect | rows)
            self.list.scrollTo(index)

    def _show_cost(self) -> None:
        session = self.sessions.session
        try:
            _show(self.cost_line, "" if session is None else cost(session.info(), session.waiting))
        except MedsegError as error:
            self._say(error=str(error))

    def _say(self, *, error: str = "", result: str = "") -> None:
        _show(self.error_line, error)
        _show(self.result_line, result)

    # ------------------------------------------------------------------ doing

    def _go_to(self, index: QModelIndex) -> None:
        session = self.sessions.session
        if session is not None and not session.read_only:
            self.sessions.go_to(self.model.action_at(index.row()))
            self._refresh()

    def _ask_compact(self) -> None:
        question = (
            "Drop the history up to now? The labels stay exactly as they are, but what was done before can no longer "
            "be taken back."
        )
        answer = QMessageBox.question(self, "Compact the history", question)
        if answer == QMessageBox.StandardButton.Yes:
            self._try(lambda: self._say(result=f"{size(self.sessions.compact())} given back."))

    def _ask_place(self) -> None:
        session = self.sessions.session
        place = choose_place(self, "session" if session is None else session_folders.subject(session.folder))
        if place is not None:
            self._try(lambda: self.sessions.save_as(place))

    def _ask_session(self) -> None:
        start = session_folders.user_folder()
        folder = QFileDialog.getExistingDirectory(self, "Open a session", str(start if start.is_dir() else Path.home()))
        if folder:
            self._try(lambda: self.sessions.open(folder))

    def _try(self, action: Any) -> None:
        self._say()
        try:
            action()
        except MedsegError as error:
            self._say(error=str(error))


def cost(info: Info, waiting: int = 0) -> str:
    """What a session costs on disk, in a line."""
    actions = f"{info.actions:,} action{'' if info.actions == 1 else 's'}"
    late = f"; {waiting:,} not on disk yet" if waiting else ""
    return f"{size(info.disk_bytes)} on disk, {actions}{late}"


def size(count: int) -> str:
    """A number of bytes in words."""
    return (
        f"{count / 1e3:.0f} kB" if count < 1e6 else f"{count / 1e6:.1f} MB" if count < 1e9 else f"{count / 1e9:.2f} GB"
    )


def _list(model: HistoryModel) -> QTreeView:
    view = QTreeView()
    view.setModel(model)
    view.setRootIsDecorated(False)
    view.setUniformRowHeights(True)
    view.setAllColumnsShowFocus(True)
    view.setTextElideMode(Qt.TextElideMode.ElideRight)
    view.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
    view.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
    view.setAccessibleName("History")
    view.setMinimumHeight(LEAST_ROWS * (view.fontMetrics().height() + 2))
    header: Any = view.header()
    header.setStretchLastSection(False)
    header.setMinimumSectionSize(40)
    header.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    width = view.fontMetrics().horizontalAdvance
    header.resizeSection(1, width("00:00:00") + 16)
    header.resizeSection(2, width("surname") + 12)
    return view


def _show(label: QLabel, text: str) -> None:
    label.setText(text)
    label.setVisible(bool(text))


def _button(text: str, help_text: str) -> QPushButton:
    button = QPushButton(text)
    button.setToolTip(help_text)
    return button
