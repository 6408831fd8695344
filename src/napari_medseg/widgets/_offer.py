"""Offers to go on with the last work that has no name yet."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_medseg.core.errors import MedsegError
from napari_medseg.io.session_folders import Work
from napari_medseg.widgets._layout import wrapped
from napari_medseg.widgets._sessions import SessionService
from napari_medseg.widgets._style import ERROR_STYLE


class LastWork(QWidget):
    """A sentence and two buttons; there while no session is open and some work was left without a name."""

    def __init__(self, sessions: SessionService, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sessions = sessions
        self._work: Work | None = None
        self.text = wrapped()
        self.continue_button = QPushButton("Continue", self)
        self.continue_button.setToolTip("Open its image and its labels, with the whole history.")
        self.later_button = QPushButton("Not now", self)
        self.later_button.setToolTip("Leave it where it is; it is offered again when napari starts the next time.")
        self.continue_button.clicked.connect(self._go_on)
        self.later_button.clicked.connect(sessions.dismiss)
        buttons = QHBoxLayout()
        buttons.addWidget(self.continue_button)
        buttons.addWidget(self.later_button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self.text)
        layout.addLayout(buttons)
        sessions.changed.connect(self._hide_where_settled)
        self.look()

    def look(self) -> None:
        """Look whether there is something to go on with."""
        self._work = self._sessions.last_work()
        self.text.setVisible(self._work is not None)
        self.setVisible(self._work is not None)
        if self._work is not None:
            self.text.setStyleSheet("")
            self.text.setText(_sentence(self._work))

    def _hide_where_settled(self) -> None:
        if self._sessions.session is not None or self._sessions.is_dismissed:
            self.hide()

    def _go_on(self) -> None:
        if self._work is None:
            return
        try:
            self._sessions.open(self._work.folder)
        except MedsegError as error:
            self.text.setStyleSheet(ERROR_STYLE)
            self.text.setText(str(error))


def _sentence(work: Work) -> str:
    done = f"{work.actions:,} action{'s' if work.actions != 1 else ''}" if work.actions else "an unfinished stroke"
    return f"Continue your last work? {work.folder.stem}: {done}."
