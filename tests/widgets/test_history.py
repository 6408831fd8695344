"""The History panel in a real viewer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QFileDialog, QMessageBox, QPushButton

from napari_medseg.core.annotation import create_layer
from napari_medseg.core.errors import SessionError
from napari_medseg.core.image import Image
from napari_medseg.core.session import START, Session
from napari_medseg.widgets._history_model import PAGE, HistoryModel
from napari_medseg.widgets._sessions import sessions_of
from napari_medseg.widgets.history import HistoryWidget, size


@pytest.fixture
def history(viewer) -> HistoryWidget:
    """The panel, docked, over a session with three strokes of the labels 1, 2 and 3."""
    image = viewer.add_image(np.zeros((64, 64)), name="zeros")
    layer = sessions_of(viewer).new_layer(image, ())
    for label in (1, 2, 3):
        layer.data_setitem((np.full(9, label), np.arange(9)), label)
    panel = HistoryWidget(viewer)
    viewer.window.add_dock_widget(panel, name="History", area="right")
    QApplication.processEvents()
    return panel


def rows(panel: HistoryWidget) -> list[str]:
    return [panel.model.index(row, 0).data() for row in range(panel.model.rowCount())]


def labels(panel: HistoryWidget) -> set[int]:
    return set(np.unique(np.asarray(panel.sessions.layer("annotation").data)).tolist())


def click(panel: HistoryWidget, row: int) -> None:
    place = panel.list.visualRect(panel.model.index(row, 0)).center()
    QTest.mouseClick(panel.list.viewport(), Qt.MouseButton.LeftButton, pos=place)


def greyed(panel: HistoryWidget) -> list[bool]:
    cells = (panel.model.index(row, 0) for row in range(panel.model.rowCount()))
    return [cell.data(Qt.ItemDataRole.ForegroundRole) is not None for cell in cells]


def test_it_lists_the_newest_first_and_the_beginning_last(history: HistoryWidget) -> None:
    assert rows(history) == ["Set pixels", "Set pixels", "Set pixels", "Beginning"]
    assert history.model.index(0, 2).data() == history.sessions.session.who
    assert history.name_line.text().startswith("zeros ")
    assert history.place_line.text().startswith("Not named yet")


def test_a_click_goes_there_and_back(history: HistoryWidget) -> None:
    click(history, 2)
    assert labels(history) == {0, 1}
    assert greyed(history) == [True, True, False, False]
    assert history.list.currentIndex().row() == 2
    click(history, 3)
    assert labels(history) == {0}
    click(history, 0)
    assert labels(history) == {0, 1, 2, 3}
    assert not any(greyed(history))


def test_the_keyboard_goes_there_too(history: HistoryWidget) -> None:
    history.list.setFocus()
    QTest.keyClick(history.list, Qt.Key.Key_Down)
    assert labels(history) == {0, 1, 2, 3}
    QTest.keyClick(history.list, Qt.Key.Key_Return)
    assert labels(history) == {0, 1, 2}
    assert history.model.head_row() == 1


def test_undo_and_redo_buttons_say_what_they_do(history: HistoryWidget, qtbot) -> None:
    assert history.undo_button.toolTip() == "Take back: Set pixels"
    assert not history.redo_button.isEnabled()
    for _ in range(3):
        history.undo_button.click()
        qtbot.waitUntil(lambda: not history._list_timer.isActive())
    assert labels(history) == {0}
    assert not history.undo_button.isEnabled() and history.redo_button.isEnabled()
    history.redo_button.click()
    qtbot.waitUntil(lambda: not history._list_timer.isActive())
    assert labels(history) == {0, 1}
    assert history.sessions.session.head != START


def test_it_follows_the_strokes(history: HistoryWidget, qtbot) -> None:
    history.sessions.layer("annotation").data_setitem((np.full(9, 5), np.arange(9)), 1)
    qtbot.waitUntil(lambda: history.model.rowCount() == 5)
    assert history.list.currentIndex().row() == 0


def test_a_hidden_panel_reads_nothing_and_catches_up(history: HistoryWidget, qtbot) -> None:
    dock = history.parent()
    dock.hide()
    history.sessions.layer("annotation").data_setitem((np.full(9, 5), np.arange(9)), 1)
    qtbot.waitUntil(lambda: not history._list_timer.isActive())
    assert history.model.rowCount() == 4
    dock.show()
    assert history.model.rowCount() == 5


def test_the_cost_on_disk_is_said(history: HistoryWidget, qtbot) -> None:
    history.sessions.session.flush(10)
    qtbot.waitUntil(lambda: history.cost_line.text().endswith("on disk, 3 actions"), timeout=10_000)


@pytest.mark.parametrize(("count", "said"), [(12_345, "12 kB"), (12_440_000, "12.4 MB"), (3_210_000_000, "3.21 GB")])
def test_sizes_in_words(count: int, said: str) -> None:
    assert size(count) == said


def test_compaction_asks_and_keeps_the_labels(history: HistoryWidget, monkeypatch) -> None:
    answers = iter([QMessageBox.StandardButton.No, QMessageBox.StandardButton.Yes])
    monkeypatch.setattr(QMessageBox, "question", lambda *_args: next(answers))
    history.compact_button.click()
    assert len(rows(history)) == 4
    history.compact_button.click()
    history._refresh()
    assert rows(history) == ["Beginning"]
    assert labels(history) == {0, 1, 2, 3}
    assert "given back" in history.result_line.text()


def test_a_session_gets_a_name(history: HistoryWidget, monkeypatch, tmp_path: Path) -> None:
    monkeypatch.setattr(QFileDialog, "getSaveFileName", lambda *_args: (str(tmp_path / "mine"), ""))
    history.save_button.click()
    history._refresh()
    assert history.name_line.text() == "mine"
    assert history.place_line.text() == str(tmp_path)
    history.sessions.undo()
    history.sessions.session.flush(10)
    assert labels(history) == {0, 1, 2}


def test_a_session_is_opened_and_a_folder_that_is_none_is_refused(history, monkeypatch, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args: str(tmp_path / "empty"))
    history.open_button.click()
    assert "is no session" in history.error_line.text() and history.error_line.isVisible()
    with Session.create(tmp_path / "other.medseg") as other:
        create_layer(other, Image.of(np.zeros((20, 30), np.uint8)))
    monkeypatch.setattr(QFileDialog, "getExistingDirectory", lambda *_args: str(tmp_path / "other.medseg"))
    history.open_button.click()
    history._refresh()
    assert history.name_line.text() == "other"
    assert not history.error_line.isVisible()


def test_a_session_that_is_open_elsewhere_can_be_looked_at(history: HistoryWidget, tmp_path: Path) -> None:
    with Session.create(tmp_path / "other.medseg") as other:
        create_layer(other, Image.of(np.zeros((20, 30), np.uint8)))
        other.record("Looked")
        other.flush(10)
        history.sessions.open(other.folder)
        history._refresh()
        assert "reading only" in history.notice_line.text()
        buttons = (history.undo_button, history.redo_button, history.compact_button, history.save_button)
        assert not any(button.isEnabled() for button in buttons)
        click(history, 1)
        assert history.sessions.session.head != START
        history.sessions.close()


def test_the_last_work_is_offered_and_continued(viewer) -> None:
    sessions = sessions_of(viewer)
    layer = sessions.new_layer(viewer.add_image(np.zeros((64, 64)), name="zeros"), ())
    layer.data_setitem((np.arange(9), np.arange(9)), 1)
    sessions.close()
    panel = HistoryWidget(viewer)
    viewer.window.add_dock_widget(panel, name="History", area="right")
    QApplication.processEvents()
    assert panel.offer.isVisible() and panel.offer.text.isVisible()
    assert "zeros" in panel.offer.text.text() and "1 action" in panel.offer.text.text()
    panel.offer.continue_button.click()
    assert not panel.offer.isVisible()
    assert labels(panel) == {0, 1}


def test_without_a_session_it_says_how_one_begins(viewer) -> None:
    panel = HistoryWidget(viewer)
    viewer.window.add_dock_widget(panel, name="History", area="right")
    assert "press New in the Teach panel" in panel.place_line.text()
    assert not panel.offer.isVisible()
    assert rows(panel) == []


def test_a_long_history_is_read_page_by_page(tmp_path: Path, qtbot) -> None:
    with Session.create(tmp_path / "long.medseg") as session:
        for number in range(PAGE + 50):
            session.record(f"action {number}")
        model = HistoryModel()
        model.reload(session)
        assert model.rowCount() == PAGE and model.canFetchMore(model.index(-1, -1))
        model.fetchMore(model.index(-1, -1))
        assert model.rowCount() == PAGE + 51 and not model.canFetchMore(model.index(-1, -1))
        assert model.index(PAGE + 49, 0).data() == "action 0"
        session.go_to(model.action_at(PAGE + 49))
        model.reload(session)
        assert model.head_row() == PAGE + 49


def test_a_history_that_cannot_be_read_is_said(history: HistoryWidget) -> None:
    history.sessions.session.close(10)
    history._refresh()
    assert "is closed" in history.error_line.text() and history.error_line.isVisible()
    assert rows(history) == []


def test_rows_stay_whole_where_a_session_cannot_be_read(tmp_path: Path, qtbot) -> None:
    with Session.create(tmp_path / "short.medseg") as session:
        session.record("action")
        model = HistoryModel()
        model.reload(session)
    resets: list[str] = []
    model.modelAboutToBeReset.connect(lambda: resets.append("begun"))
    model.modelReset.connect(lambda: resets.append("ended"))
    with pytest.raises(SessionError):
        model.reload(session)
    assert resets == [] and model.rowCount() == 2
    model.reload(None)
    assert resets == ["begun", "ended"] and model.rowCount() == 0


def test_it_fits_a_dock_of_300_pixels_and_has_tooltips(history: HistoryWidget, qtbot) -> None:
    window = history.sessions._viewer.window._qt_window
    dock = history.parent()
    while not isinstance(dock, QDockWidget):
        dock = dock.parent()
    window.resizeDocks([dock], [300], Qt.Orientation.Horizontal)
    QApplication.processEvents()
    assert history.width() <= 300
    assert history.minimumSizeHint().width() <= 300
    assert history.list.columnWidth(0) >= 120
    assert all(button.toolTip() for button in history.findChildren(QPushButton))
