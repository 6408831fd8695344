"""Ends the session when the viewer's window closes; a user who closes it is offered a name for the session first."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject

from napari_medseg.io import session_folders
from napari_medseg.widgets._naming import NameOffer


class Closing(QObject):
    """Sees the window of a viewer close.

    Strategy
    --------
    The button of the window (a spontaneous event): napari may ask whether to close at all, and comes first; that it
    will close shows when it is hidden. "Close window" and "Exit" in the menu: napari has asked by then, and after its
    own handling the application may be about to end, so it is the close event itself. A program that closes the viewer
    (`Viewer.close`) takes the inner part away first; nobody may be there to answer, and nobody is asked.

    Parameters
    ----------
    sessions
        The `SessionService` of the viewer.
    window
        The viewer's window.
    """

    def __init__(self, sessions: Any, window: QObject) -> None:
        super().__init__(sessions)
        self._sessions = sessions
        self._is_spontaneous = False
        window.installEventFilter(self)
        window.destroyed.connect(sessions.leave)

    def eventFilter(self, a0: QObject | None, a1: QEvent | None) -> bool:  # noqa: N802
        """See the window's events; all of them go on to the window."""
        if a0 is not None and a1 is not None:
            if a1.type() == QEvent.Type.Close:
                self._is_spontaneous = a1.spontaneous()
                if a1.spontaneous():
                    self._forget_when_over()
                else:
                    self._leave(a0, asking=not _is_closed_by_program(a0))
            elif a1.type() == QEvent.Type.Hide and self._is_spontaneous and not a1.spontaneous():
                self._is_spontaneous = False
                self._leave(a0, asking=True)
        return super().eventFilter(a0, a1)

    def _forget_when_over(self) -> None:
        """Who cancels in napari's dialog keeps the window; hiding it later is no closing.

        What is deleted later goes when the event loop that runs now goes on: after the close event, not in its dialogs.
        """
        over = QObject(self)
        over.destroyed.connect(self._forget)
        over.deleteLater()

    def _forget(self) -> None:
        self._is_spontaneous = False

    def _leave(self, window: Any, asking: bool) -> None:
        if asking and self._has_work_without_a_name() and session_folders.may_ask():
            NameOffer(self._sessions, window).exec()
        self._sessions.leave()

    def _has_work_without_a_name(self) -> bool:
        session = self._sessions.session
        return (
            session is not None and self._sessions.is_automatic and not session.read_only and bool(session.history(1))
        )


def _is_closed_by_program(window: Any) -> bool:
    inside = getattr(window, "_qt_viewer", None)
    return inside is None or inside.isHidden() or not window.isVisible()
