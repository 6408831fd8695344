"""The session behind the layers of a real viewer: what is painted, undone and named reaches the disk and comes back."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import napari
import numpy as np
import pytest
from napari.utils.notifications import notification_manager
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from skimage.io import imsave

from napari_medseg.core.annotation import SHOWN, classes_of, create_layer, open_layer
from napari_medseg.core.errors import StorageError
from napari_medseg.core.session import ANNOTATION, Session
from napari_medseg.io import session_folders
from napari_medseg.widgets._layers import image_of
from napari_medseg.widgets._pairs import images_of
from napari_medseg.widgets._session_names import place_of
from napari_medseg.widgets._sessions import SessionService, sessions_of
from napari_medseg.widgets.pyramid_labels import private_names
from napari_medseg.widgets.scribbles import TeachWidget
from napari_medseg.widgets.session_reader import read_session

LEFT, RIGHT = ((40, 30), (150, 90)), ((40, 160), (150, 230))
CONTROL, SHIFT = Qt.KeyboardModifier.ControlModifier, Qt.KeyboardModifier.ShiftModifier


@pytest.fixture
def painted(panel: TeachWidget, hand) -> TeachWidget:
    """The panel after a stroke of each of two classes."""
    panel.new_button.click()
    hand.stroke(*LEFT)
    panel.classes.selected.emit(2)
    hand.stroke(*RIGHT)
    return panel


@pytest.fixture
def slide(tmp_path: Path, halves: np.ndarray) -> Path:
    """An image on the disk."""
    path = tmp_path / "images" / "slide.tif"
    path.parent.mkdir()
    imsave(path, halves, check_contrast=False)
    return path


@pytest.fixture
def said() -> Iterator[list[str]]:
    """What napari showed to the user."""
    heard: list[str] = []

    def hear(event: Any) -> None:
        heard.append(event.message)

    notification_manager.notification_ready.connect(hear)
    yield heard
    notification_manager.notification_ready.disconnect(hear)


def labels(panel: TeachWidget) -> np.ndarray:
    return np.asarray(panel.scribbles.value().data).copy()


def names(sessions: SessionService) -> list[str]:
    assert sessions.session is not None
    return [entry.action.name for entry in reversed(sessions.session.history()) if entry.in_effect]


def on_disk(folder: Path) -> np.ndarray:
    """What a session holds for whoever opens it next."""
    with Session.open(folder, writable=False) as session:
        return np.asarray(open_layer(session).image.levels[0]).copy()


def key(hand, key: Qt.Key, modifier=CONTROL) -> None:
    QTest.keyClick(hand.canvas, key, modifier)
    QApplication.processEvents()


# ---------------------------------------------------------------------- strokes


def test_a_stroke_is_an_action_on_disk(painted: TeachWidget, own_sessions: Path) -> None:
    session = painted.sessions.session
    assert session is not None and session.folder.parent == own_sessions
    assert names(painted.sessions) == ["Painted class 1", "Painted class 2"]
    session.flush(10)
    assert set(np.unique(on_disk(session.folder))) == {0, 1, 2}
    np.testing.assert_array_equal(on_disk(session.folder), labels(painted))


def test_the_session_has_the_geometry_and_the_classes(painted: TeachWidget) -> None:
    painted.classes.rename(1, "dark")
    session = painted.sessions.session
    assert session is not None
    session.flush(10)
    with Session.open(session.folder, writable=False) as other:
        image = open_layer(other).image
        assert (image.shape(), image.geometry.scale, image.geometry.units) == ((96, 128), (2, 2), ("micrometer",) * 2)
        assert [row.name for row in classes_of(other)] == ["dark", "class 2"]


def test_undo_and_redo_keys_go_through_the_session(painted: TeachWidget, hand) -> None:
    both = labels(painted)
    key(hand, Qt.Key.Key_Z)
    assert set(np.unique(labels(painted))) == {0, 1}
    assert names(painted.sessions) == ["Painted class 1"]
    key(hand, Qt.Key.Key_Z)
    assert not labels(painted).any()
    key(hand, Qt.Key.Key_Z)
    for _ in range(2):
        key(hand, Qt.Key.Key_Z, CONTROL | SHIFT)
    np.testing.assert_array_equal(labels(painted), both)
    assert len(names(painted.sessions)) == 2


def test_undo_during_a_stroke_waits_for_its_end(painted: TeachWidget, hand) -> None:
    hand.press((100, 170))
    hand.move((110, 200))
    painted.sessions.undo()
    hand.release((110, 200))
    assert names(painted.sessions) == ["Painted class 1", "Painted class 2", "Painted class 2"]


def test_one_undo_for_all_layers_of_the_viewer(painted: TeachWidget, hand) -> None:
    first = painted.scribbles.value()
    painted.new_button.click()
    second = painted.scribbles.value()
    assert second is not first
    hand.stroke(*LEFT)
    assert np.asarray(second.data).any()
    painted.sessions.undo()
    assert not np.asarray(second.data).any()
    painted.sessions.undo()
    assert set(np.unique(np.asarray(first.data))) == {0, 1}


def test_classes_are_part_of_the_history(painted: TeachWidget) -> None:
    painted.classes.rename(1, "dark")
    painted.classes.recolour(1, "#00ff00")
    painted.classes.add()
    assert names(painted.sessions)[2:] == ["Renamed class 1 to dark", "Colour of dark", "Added class 3"]
    layer = painted.scribbles.value()
    painted.sessions.undo()
    painted.sessions.undo()
    assert [row.name for row in painted.classes.value()] == ["dark", "class 2"]
    assert tuple(layer.get_color(1)) != (0, 1, 0, 1)
    painted.sessions.redo()
    np.testing.assert_allclose(layer.get_color(1), (0, 1, 0, 1))
    assert painted.classes.value()[0].colour == "#00ff00"
    assert len(names(painted.sessions)) == 4


def test_a_stroke_of_a_new_label_and_its_class_are_one_action(painted: TeachWidget, hand) -> None:
    painted.scribbles.value().selected_label = 4
    hand.stroke((20, 20), (20, 60))
    assert names(painted.sessions)[2:] == ["Painted class 4"]
    assert painted.classes.labels() == (1, 2, 4)
    painted.sessions.undo()
    assert painted.classes.labels() == (1, 2)
    assert set(np.unique(labels(painted))) == {0, 1, 2}
    painted.sessions.redo()
    assert painted.classes.labels() == (1, 2, 4)
    assert len(names(painted.sessions)) == 3


def test_a_long_stroke_is_kept_before_it_ends(painted: TeachWidget, hand, qtbot) -> None:
    session = painted.sessions.session
    assert session is not None
    hand.press((100, 40))
    for place in range(50, 250, 4):
        hand.move((100, place))
        qtbot.wait(40)
    session.flush(10)
    draft = session._store.draft()[0]
    hand.release((100, 250))
    assert draft
    session.flush(10)
    assert not session._store.draft()[0]


def test_a_jump_brings_any_moment_back(painted: TeachWidget) -> None:
    session = painted.sessions.session
    assert session is not None
    last, first = (entry.action.id for entry in session.history())
    both = labels(painted)
    painted.sessions.go_to(first)
    assert set(np.unique(labels(painted))) == {0, 1}
    painted.sessions.go_to(last)
    np.testing.assert_array_equal(labels(painted), both)


# ---------------------------------------------------------------------- the disk


def test_a_failing_disk_is_said_once_and_work_goes_on(painted: TeachWidget, qtbot, said: list[str]) -> None:
    sessions = painted.sessions
    assert sessions.session is not None
    with qtbot.waitSignal(sessions.changed):
        # From another thread, as the session does it.
        writer = Thread(target=sessions.session.on_trouble, args=("The disk is full.",))
        writer.start()
    writer.join()
    assert len([text for text in said if text.startswith("The disk is full.")]) == 1
    sessions.session.on_trouble(None)
    assert "works again" in said[-1]


def test_where_no_session_can_be_made_an_ordinary_layer_is(panel, own_sessions: Path, hand, said) -> None:
    own_sessions.rmdir()
    own_sessions.write_text("a file, where the sessions should lie")
    panel.new_button.click()
    assert said[-1].startswith("What you paint is not kept on disk. A session could not be made in")
    hand.stroke(*LEFT)
    assert isinstance(panel.scribbles.value().data, np.ndarray)
    assert panel.scribbles.value().data.any()
    assert panel.sessions.session is None


def test_where_napari_lacks_names_an_ordinary_layer_is_made(panel: TeachWidget, monkeypatch, hand, said) -> None:
    monkeypatch.setitem(private_names.NAMES, private_names.LAYER, ("_a_name_that_no_napari_has",))
    panel.new_button.click()
    assert "lacks napari.layers:Labels._a_name_that_no_napari_has" in said[-1] and "save it yourself" in said[-1]
    hand.stroke(*LEFT)
    assert panel.scribbles.value().data.any()
    assert panel.sessions.session is None


# ---------------------------------------------------------------------- closing and opening


def test_closing_the_viewer_keeps_what_was_painted_and_lets_go(painted: TeachWidget, own_sessions: Path) -> None:
    both, folder = labels(painted), painted.sessions.session.folder
    painted.viewer.close()
    QApplication.processEvents()
    with Session.open(folder) as session:
        assert not session.read_only and not session.recovered
    np.testing.assert_array_equal(on_disk(folder), both)


def test_a_session_in_which_nothing_was_done_goes(panel: TeachWidget, own_sessions: Path) -> None:
    panel.new_button.click()
    assert len(list(own_sessions.iterdir())) == 1
    panel.viewer.close()
    QApplication.processEvents()
    assert not list(own_sessions.iterdir())


def test_a_session_comes_back_with_image_classes_and_history(
    viewer: napari.Viewer, service, slide: Path, hand, tmp_path: Path
) -> None:
    viewer.open(str(slide), plugin="napari")
    viewer.layers[0].name = "slide"
    panel = TeachWidget(viewer, service=service, tool="tiny")
    viewer.window.add_dock_widget(panel, name="Teach")
    panel.live.setValue(False)
    viewer.reset_view()
    panel.new_button.click()
    hand.stroke((20, 10), (60, 30))
    panel.classes.rename(1, "dark")
    sessions = panel.sessions
    sessions.save_as(tmp_path / "kept")
    assert sessions.session.folder == tmp_path / "kept.medseg" and not sessions.is_automatic
    hand.stroke((20, 80), (60, 100))
    before = labels(panel)
    sessions.close()
    viewer.layers.clear()
    sessions.open(tmp_path / "kept.medseg")
    assert [layer.name for layer in viewer.layers] == ["slide", "slide scribbles"]
    assert sessions.notices == []
    assert panel.scribbles.value() is sessions.layer(ANNOTATION)
    np.testing.assert_array_equal(labels(panel), before)
    assert panel.classes.value()[0].name == "dark"
    panel.scribbles.value().undo()
    assert labels(panel).sum() < before.sum()
    panel.classes.selected.emit(1)
    hand.stroke((20, 80), (60, 100))
    assert names(sessions) == ["Painted class 1", "Renamed class 1 to dark", "Painted dark"]


def test_a_moved_session_finds_its_image_and_says_so(viewer, slide: Path, tmp_path: Path) -> None:
    folder = begun(viewer, slide, tmp_path / "a" / "kept")
    slide.rename(tmp_path / "elsewhere.tif")
    folder = folder.rename(tmp_path / "moved.medseg")
    sessions = sessions_of(viewer)
    sessions.open(folder)
    assert "was found at" in sessions.notices[0]
    assert viewer.layers[0].source.path == str(tmp_path / "elsewhere.tif")


def test_a_missing_image_is_said(viewer, slide: Path, tmp_path: Path) -> None:
    folder = begun(viewer, slide, tmp_path / "kept")
    slide.unlink()
    sessions = sessions_of(viewer)
    sessions.open(folder)
    assert "The image of this session is not at" in sessions.notices[0]
    assert sessions.layer(ANNOTATION) in viewer.layers


def test_a_changed_image_is_said(viewer, slide: Path, tmp_path: Path, halves) -> None:
    folder = begun(viewer, slide, tmp_path / "kept")
    imsave(slide, halves[::-1], check_contrast=False)
    sessions = sessions_of(viewer)
    sessions.open(folder)
    assert "its content has changed" in sessions.notices[0]


def begun(viewer: napari.Viewer, image: Path, folder: Path) -> Path:
    """A session with one action, made by this viewer and closed again."""
    sessions = sessions_of(viewer)
    (layer,) = viewer.open(str(image), plugin="napari")
    paint = sessions.new_layer(layer, ())
    paint.data_setitem((np.arange(9), np.arange(9)), 1)
    sessions.save_as(folder)
    kept = sessions.session.folder
    sessions.close()
    viewer.layers.clear()
    return kept


def test_a_second_viewer_reads_only_and_says_so(painted: TeachWidget, make_napari_viewer) -> None:
    folder = painted.sessions.session.folder
    painted.sessions.session.flush(10)
    other = make_napari_viewer(show=False)
    sessions = sessions_of(other)
    sessions.open(folder)
    assert "open for reading only" in sessions.notices[0]
    layer = sessions.layer(ANNOTATION)
    assert not layer.editable
    np.testing.assert_array_equal(np.asarray(layer.data), labels(painted))


def test_a_crash_in_a_stroke_loses_little_and_says_what_it_brought_back(viewer, own_sessions: Path) -> None:
    code = (
        "import napari, numpy as np, os, time\n"
        "from napari_medseg.widgets._sessions import sessions_of\n"
        "viewer = napari.Viewer(show=False)\n"
        "sessions = sessions_of(viewer)\n"
        "layer = sessions.new_layer(viewer.add_image(np.zeros((64, 64)), name='zeros'), ())\n"
        "layer.data_setitem((np.arange(9), np.arange(9)), 1)\n"
        "with layer.block_history():\n"
        "    layer.data_setitem((np.arange(9), np.arange(9) + 20), 2)\n"
        "    time.sleep(1.1)\n"
        "    layer.data_setitem((np.arange(9), np.arange(9) + 30), 2)\n"
        "    sessions.session.flush(10)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == -9, done.stderr
    sessions = sessions_of(viewer)
    work = sessions.last_work()
    assert work is not None and work.actions == 1
    sessions.open(work.folder)
    assert any("was not finished was recovered" in notice for notice in sessions.notices)
    picture = np.asarray(sessions.layer(ANNOTATION).data)
    assert (picture[np.arange(9), np.arange(9) + 30] == 2).all()
    sessions.undo()
    assert set(np.unique(np.asarray(sessions.layer(ANNOTATION).data))) == {0, 1}


def test_opening_another_closes_the_first(painted: TeachWidget, slide: Path, tmp_path: Path) -> None:
    viewer, sessions = painted.viewer, painted.sessions
    first, folder = painted.scribbles.value(), sessions.session.folder
    with Session.create(tmp_path / "empty.medseg"):
        pass
    sessions.open(tmp_path / "empty.medseg")
    assert first not in viewer.layers
    sessions.open(folder)
    assert sessions.layer(ANNOTATION) in viewer.layers
    assert names(sessions) == ["Painted class 1", "Painted class 2"]


def test_a_name_that_is_taken_changes_nothing(painted: TeachWidget, tmp_path: Path, hand) -> None:
    (tmp_path / "kept.medseg").mkdir()
    (tmp_path / "kept.medseg" / "notes.txt").write_text("mine")
    folder = painted.sessions.session.folder
    with pytest.raises(Exception, match="is there already"):
        painted.sessions.save_as(tmp_path / "kept.medseg")
    hand.stroke(*LEFT)
    painted.sessions.session.flush(10)
    assert painted.sessions.session.folder == folder
    np.testing.assert_array_equal(on_disk(folder), labels(painted))


def test_a_place_that_cannot_be_written_to_changes_nothing(painted: TeachWidget, tmp_path: Path, hand) -> None:
    (tmp_path / "file").write_text("no folder")
    folder = painted.sessions.session.folder
    with pytest.raises(StorageError, match="stays in"):
        painted.sessions.save_as(tmp_path / "file" / "kept")
    hand.stroke(*LEFT)
    painted.sessions.session.flush(10)
    np.testing.assert_array_equal(on_disk(folder), labels(painted))


# ---------------------------------------------------------------------- napari's reader


def test_napari_opens_the_folder(viewer, slide: Path, tmp_path: Path) -> None:
    folder = begun(viewer, slide, tmp_path / "kept")
    viewer.open(str(folder), plugin="napari-medseg")
    assert [type(layer).__name__ for layer in viewer.layers] == ["Image", "PyramidLabels"]
    assert sessions_of(viewer).session.folder == folder


def test_other_folders_are_left_to_others(tmp_path: Path) -> None:
    assert read_session(str(tmp_path)) is None


# ---------------------------------------------------------------------- the last work


def test_the_newest_work_without_a_name_is_offered(painted: TeachWidget, make_napari_viewer) -> None:
    sessions = painted.sessions
    assert sessions.last_work() is None
    folder = sessions.session.folder
    assert session_folders.last_work() is None
    sessions.close()
    work = sessions.last_work()
    assert work is not None
    assert (work.folder, work.actions, work.last) == (folder, 2, "Painted class 2")
    sessions.dismiss()
    assert sessions.last_work() is None


def test_the_teach_panel_offers_it_too(painted: TeachWidget, service) -> None:
    viewer, both = painted.viewer, labels(painted)
    painted.sessions.close()
    viewer.window.remove_dock_widget(painted)
    panel = TeachWidget(viewer, service=service, tool="tiny")
    viewer.window.add_dock_widget(panel, name="Teach again")
    QApplication.processEvents()
    assert panel.last_work.isVisible()
    panel.last_work.continue_button.click()
    assert not panel.last_work.isVisible()
    np.testing.assert_array_equal(labels(panel), both)


def test_undo_of_the_first_change_of_a_class_brings_its_first_name_back(panel: TeachWidget, hand) -> None:
    panel.new_button.click()
    panel.classes.rename(1, "dark")
    panel.sessions.undo()
    assert panel.classes.value()[0].name == "class 1"
    hand.stroke(*LEFT)
    assert names(panel.sessions) == ["Painted class 1"]


def test_a_layer_that_was_removed_comes_back_when_its_session_is_opened_again(painted: TeachWidget) -> None:
    sessions, before = painted.sessions, labels(painted)
    painted.viewer.layers.remove(sessions.layer(ANNOTATION))
    assert sessions.session is not None
    sessions.open(sessions.session.folder)
    assert sessions.layer(ANNOTATION) in painted.viewer.layers
    np.testing.assert_array_equal(np.asarray(sessions.layer(ANNOTATION).data), before)


def test_each_layer_comes_back_with_its_own_image(viewer: napari.Viewer, tmp_path: Path, halves: np.ndarray) -> None:
    for name in ("first", "second"):
        imsave(tmp_path / f"{name}.tif", halves, check_contrast=False)
        viewer.open(str(tmp_path / f"{name}.tif"), plugin="napari")
    sessions = sessions_of(viewer)
    first, second = viewer.layers["first"], viewer.layers["second"]
    sessions.new_layer(first, ())
    assert sessions.session is not None
    # Its name comes before that of the first layer.
    shown = {"name": "second annotation", "path": str(tmp_path / "second.tif"), "plugin": "napari"}
    create_layer(sessions.session, image_of(second), "accepted", np.uint8)
    sessions.session.facts.state(SHOWN + "accepted", shown)
    sessions.layer(ANNOTATION).data_setitem((np.array([3]), np.array([3])), 1)
    folder = sessions.session.folder
    sessions.close()
    viewer.layers.clear()
    (tmp_path / "first.tif").rename(folder.parent / "first.tif")
    sessions.open(folder)
    images = {name: images_of(sessions.layer(name), list(viewer.layers)) for name in (ANNOTATION, "accepted")}
    assert [[place_of(each)["path"] for each in found] for found in images.values()] == [
        [str(folder.parent / "first.tif")],
        [str(tmp_path / "second.tif")],
    ]


def test_erasing_with_a_label_that_is_not_used_makes_no_class(painted: TeachWidget, hand) -> None:
    layer = painted.scribbles.value()
    layer.selected_label = 5
    layer.mode = "erase"
    hand.stroke(*LEFT)
    assert painted.classes.labels() == (1, 2)
    assert names(painted.sessions)[-1] == "Erased"
