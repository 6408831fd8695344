"""Asks for the name and the place of a session: when the user wants to, and once when the viewer closes."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from qtpy.QtCore import QSize, Qt
from qtpy.QtWidgets import QCheckBox, QDialog, QFileDialog, QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

from napari_medseg.core.errors import MedsegError
from napari_medseg.io import session_folders
from napari_medseg.widgets._layout import wrapped
from napari_medseg.widgets._style import ERROR_STYLE

WIDTH = 440


def choose_place(parent: QWidget, name: str) -> Path | None:
    """Let the user choose a name and a place for a session; ``None`` where they changed their mind."""
    start = Path.home() / f"{name}{session_folders.SUFFIX}"
    path, _kind = QFileDialog.getSaveFileName(parent, "Save the session", str(start), "Sessions (*.medseg)")
    return Path(path) if path else None


class NameOffer(QDialog):
    """Offers to give a session a name before the viewer closes. Whatever is answered, the session is kept.

    Parameters
    ----------
    sessions
        The viewer's `SessionService`, with an open session.
    """

    def __init__(self, sessions: Any, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._sessions = sessions
        self._name = session_folders.subject(sessions.session.folder)
        self.setWindowTitle("Your work is kept")
        self.text, self.hint = QLabel(f"Your work on {self._name} is kept on this computer."), wrapped()
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setWordWrap(True)
        self.hint.setText("It is offered to you again the next time. With a name it lies where you want it.")
        self.hint.show()
        self.error_line = wrapped(ERROR_STYLE)
        self.never_again = QCheckBox("Do not ask again")
        self.never_again.setToolTip("Work without a name is kept all the same; the History panel can name it.")
        self.save_button, self.close_button = QPushButton("Save under a name…"), QPushButton("Close")
        self.save_button.setDefault(True)
        self.save_button.clicked.connect(self._save)
        self.close_button.clicked.connect(self.reject)
        self._lay_out()

    def sizeHint(self) -> QSize:
        """Wide enough for the sentences."""
        return super().sizeHint().expandedTo(QSize(WIDTH, 0))

    def done(self, a0: int) -> None:
        """Remember the answer to whether to ask again."""
        if self.never_again.isChecked():
            # Where even this cannot be written it is asked again, which does no harm.
            with suppress(OSError):
                session_folders.stop_asking()
        super().done(a0)

    def _lay_out(self) -> None:
        layout, buttons = QVBoxLayout(self), QHBoxLayout()
        layout.setSpacing(8)
        buttons.addWidget(self.never_again)
        buttons.addStretch(1)
        buttons.addWidget(self.save_button)
        buttons.addWidget(self.close_button)
        for line in (self.text, self.hint, self.error_line):
            layout.addWidget(line)
        layout.addSpacing(4)
        layout.addLayout(buttons)

    def _save(self) -> None:
        place = choose_place(self, self._name)
        if place is None:
            return
        try:
            self._sessions.save_as(place)
        except MedsegError as error:
            self.error_line.setText(str(error))
            self.error_line.show()
        else:
            self.accept()
