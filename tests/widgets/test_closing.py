"""What happens when the window closes: by its button, from the menu, by a program; with and without work to name."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import napari
import numpy as np
import pytest
from napari._qt.dialogs.confirm_close_dialog import ConfirmCloseDialog
from napari.settings import get_settings
from qtpy.QtCore import Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDialog, QFileDialog

from napari_medseg.core.annotation import open_layer
from napari_medseg.core.session import Session
from napari_medseg.io import session_folders
from napari_medseg.widgets._naming import NameOffer
from napari_medseg.widgets._sessions import SessionService, sessions_of

Answer = Callable[[Any], object]


@pytest.fixture
def viewer(viewer: napari.Viewer) -> napari.Viewer:
    """A viewer whose window is still there when it was closed, for napari's fixture closes it once more."""
    viewer.window._qt_window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    return viewer


@pytest.fixture
def sessions(viewer: napari.Viewer) -> SessionService:
    """The sessions of a viewer in which nine pixels were painted on an image that no file holds."""
    get_settings().application.confirm_close_window = False
    sessions = sessions_of(viewer)
    layer: Any = sessions.new_layer(viewer.add_image(np.zeros((64, 64)), name="Lymph node"), ())
    layer.data_setitem((np.arange(9), np.arange(9)), 1)
    return sessions


class Answers:
    """Answers the dialogs that come, one after the other, and remembers what they were."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self._expected: list[tuple[type[QDialog], Answer]] = []
        self._timer = QTimer()
        self._timer.timeout.connect(self._look)
        self._timer.start(20)

    def expect(self, kind: type[QDialog], answer: Answer) -> None:
        self._expected.append((kind, answer))

    def stop(self) -> None:
        self._timer.stop()

    def _look(self) -> None:
        dialog = QApplication.activeModalWidget()
        if dialog is None:
            return
        self.asked.append(dialog.text.text() if isinstance(dialog, NameOffer) else type(dialog).__name__)
        # A dialog that nobody expects must not hold the test up for ever.
        kind, answer = self._expected.pop(0) if self._expected else (QDialog, lambda dialog: dialog.reject())
        answer(dialog) if isinstance(dialog, kind) else dialog.reject()


@pytest.fixture
def answers(qtbot):
    answers = Answers()
    yield answers
    answers.stop()


def from_menu(viewer: napari.Viewer) -> None:
    """As "Close window" in the menu does."""
    viewer.window._qt_window.close(quit_app=False, confirm_need=True)


def held(folder: Path) -> int:
    """How many labelled pixels a session has for whoever opens it next, for writing."""
    with Session.open(folder) as session:
        assert not session.read_only and not session.recovered
        return int(np.count_nonzero(np.asarray(open_layer(session).image.levels[0])))


ASKED = "Your work on Lymph node is kept on this computer."


def test_close_keeps_the_work_where_it_is(viewer, sessions, answers) -> None:
    folder = sessions.session.folder
    answers.expect(NameOffer, lambda dialog: dialog.close_button.click())
    from_menu(viewer)
    assert answers.asked == [ASKED]
    assert sessions.session is None and held(folder) == 9
    work = session_folders.last_work()
    assert work is not None and work.folder == folder


def test_escape_is_close(viewer, sessions, answers) -> None:
    folder = sessions.session.folder
    answers.expect(NameOffer, lambda dialog: QTest.keyClick(dialog, Qt.Key.Key_Escape))
    from_menu(viewer)
    assert answers.asked == [ASKED] and held(folder) == 9


def test_it_gets_a_name_and_a_place(viewer, sessions, answers, monkeypatch, tmp_path: Path) -> None:
    suggested: list[str] = []

    def choose(_parent: Any, _title: str, start: str, _filter: str) -> tuple[str, str]:
        suggested.append(Path(start).name)
        return str(tmp_path / "mine"), ""

    monkeypatch.setattr(QFileDialog, "getSaveFileName", choose)
    folder = sessions.session.folder
    answers.expect(NameOffer, lambda dialog: dialog.save_button.click())
    from_menu(viewer)
    assert answers.asked == [ASKED] and suggested == ["Lymph node.medseg"]
    assert not folder.exists() and held(tmp_path / "mine.medseg") == 9
    assert session_folders.last_work() is None


def test_no_name_and_a_bad_place_leave_the_question_open(viewer, sessions, answers, monkeypatch, tmp_path) -> None:
    (tmp_path / "taken.medseg").mkdir()
    (tmp_path / "taken.medseg" / "notes.txt").write_text("mine")
    places = ["", str(tmp_path / "taken"), str(tmp_path / "free")]
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_given: (places.pop(0), ""))
    said: list[str] = []

    def save(dialog: NameOffer) -> None:
        dialog.save_button.click()
        said.append(dialog.error_line.text() if dialog.error_line.isVisible() else "")

    for _ in range(3):
        answers.expect(NameOffer, save)
    from_menu(viewer)
    assert said[0] == "" and "is there already" in said[1]
    assert len(answers.asked) == 3 and held(tmp_path / "free.medseg") == 9


def test_the_answer_not_to_ask_again_is_remembered(viewer, sessions, answers, make_napari_viewer) -> None:
    def never(dialog: NameOffer) -> None:
        dialog.never_again.setChecked(True)
        dialog.close_button.click()

    answers.expect(NameOffer, never)
    from_menu(viewer)
    assert not session_folders.may_ask()
    other = make_napari_viewer(show=True)
    other.window._qt_window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose, False)
    get_settings().application.confirm_close_window = False
    again = sessions_of(other)
    again.new_layer(other.add_image(np.zeros((64, 64))), ()).data_setitem((np.arange(3), np.arange(3)), 1)
    folder = again.session.folder
    from_menu(other)
    assert answers.asked == [ASKED] and held(folder) == 3


def test_a_program_that_closes_the_viewer_is_not_held_up(viewer, sessions, answers, qtbot) -> None:
    folder = sessions.session.folder
    viewer.close()
    qtbot.wait(100)
    assert answers.asked == [] and held(folder) == 9


def test_nothing_done_or_named_already_is_no_question(viewer, sessions, answers, qtbot, tmp_path: Path) -> None:
    sessions.save_as(tmp_path / "mine")
    from_menu(viewer)
    qtbot.wait(100)
    assert answers.asked == [] and held(tmp_path / "mine.medseg") == 9


def test_a_session_in_which_nothing_was_done_goes_without_a_question(viewer, answers, qtbot, own_sessions) -> None:
    get_settings().application.confirm_close_window = False
    sessions_of(viewer).new_layer(viewer.add_image(np.zeros((64, 64))), ())
    from_menu(viewer)
    qtbot.wait(100)
    assert answers.asked == [] and not list(own_sessions.iterdir())


def test_whoever_does_not_confirm_keeps_the_window_and_is_not_asked(viewer, sessions, answers) -> None:
    get_settings().application.confirm_close_window = True
    answers.expect(ConfirmCloseDialog, lambda dialog: dialog.cancel_btn.click())
    from_menu(viewer)
    assert answers.asked == ["ConfirmCloseDialog"]
    assert viewer.window._qt_window.isVisible() and sessions.session is not None
    sessions.layer("annotation").data_setitem((np.arange(9), np.arange(9) + 20), 1)
    folder = sessions.session.folder
    answers.expect(ConfirmCloseDialog, lambda dialog: dialog.close_btn.click())
    answers.expect(NameOffer, lambda dialog: dialog.close_button.click())
    from_menu(viewer)
    assert answers.asked[1:] == ["ConfirmCloseDialog", ASKED]
    assert held(folder) == 18


# ---------------------------------------------------------------------- the button of the window


class _ClientMessage(ctypes.Structure):
    _fields_ = [  # noqa: RUF012 - as ctypes wants it
        ("type", ctypes.c_int),
        ("serial", ctypes.c_ulong),
        ("send_event", ctypes.c_int),
        ("display", ctypes.c_void_p),
        ("window", ctypes.c_ulong),
        ("message_type", ctypes.c_ulong),
        ("format", ctypes.c_int),
        ("data", ctypes.c_long * 5),
        ("rest", ctypes.c_long * 16),
    ]


def press_close(viewer: napari.Viewer) -> None:
    """Send what the window manager sends when the button of a window is pressed."""
    x11 = ctypes.CDLL("libX11.so.6")
    x11.XOpenDisplay.restype = ctypes.c_void_p
    x11.XInternAtom.restype = ctypes.c_ulong
    display = ctypes.c_void_p(x11.XOpenDisplay(None))
    protocols, delete = (x11.XInternAtom(display, name, 0) for name in (b"WM_PROTOCOLS", b"WM_DELETE_WINDOW"))
    window = int(viewer.window._qt_window.winId())
    event = _ClientMessage(type=33, window=window, message_type=protocols, format=32)
    event.data[0] = delete
    x11.XSendEvent(display, ctypes.c_ulong(window), 0, ctypes.c_long(0), ctypes.byref(event))
    x11.XFlush(display)
    x11.XCloseDisplay(display)


needs_x11 = pytest.mark.skipif(sys.platform != "linux", reason="sends a message of X11")


@needs_x11
def test_the_button_asks_after_napari_has(viewer, sessions, answers, qtbot) -> None:
    get_settings().application.confirm_close_window = True
    folder = sessions.session.folder
    answers.expect(ConfirmCloseDialog, lambda dialog: dialog.cancel_btn.click())
    press_close(viewer)
    qtbot.waitUntil(lambda: answers.asked == ["ConfirmCloseDialog"])
    qtbot.wait(100)
    assert viewer.window._qt_window.isVisible() and sessions.session is not None
    answers.expect(ConfirmCloseDialog, lambda dialog: dialog.close_btn.click())
    answers.expect(NameOffer, lambda dialog: dialog.close_button.click())
    press_close(viewer)
    qtbot.waitUntil(lambda: len(answers.asked) == 3)
    assert answers.asked[1:] == ["ConfirmCloseDialog", ASKED]
    qtbot.waitUntil(lambda: not viewer.window._qt_window.isVisible())
    assert held(folder) == 9


@needs_x11
def test_a_window_that_is_hidden_after_all_closes_no_session(viewer, sessions, answers, qtbot) -> None:
    get_settings().application.confirm_close_window = True
    answers.expect(ConfirmCloseDialog, lambda dialog: dialog.cancel_btn.click())
    press_close(viewer)
    qtbot.waitUntil(lambda: answers.asked == ["ConfirmCloseDialog"])
    qtbot.wait(100)
    viewer.window._qt_window.hide()
    qtbot.wait(100)
    assert answers.asked == ["ConfirmCloseDialog"] and sessions.session is not None
