"""Accept: the prediction becomes an annotation of the session, as one action."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_medseg.core.annotation import classes_of, layer_names, open_layer
from napari_medseg.core.events import Tile
from napari_medseg.core.session import Session
from napari_medseg.io import predictions
from napari_medseg.widgets import _layers
from napari_medseg.widgets._results import PREDICTION
from napari_medseg.widgets.scribbles import TeachWidget

LONG_MS = 60_000
LEFT, RIGHT = ((40, 30), (150, 90)), ((40, 160), (150, 230))


@pytest.fixture
def taught(panel: TeachWidget, hand, qtbot) -> TeachWidget:
    """The panel when the quick tool has segmented the image."""
    panel.new_button.click()
    hand.stroke(*LEFT)
    panel.classes.selected.emit(2)
    hand.stroke(*RIGHT)
    teach(panel, qtbot)
    return panel


def teach(panel: TeachWidget, qtbot) -> None:
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS):
        panel.runner.run_button.click()


def accept(panel: TeachWidget, qtbot) -> Any:
    """Press the button and wait; the layer that it went into."""
    with qtbot.waitSignal(panel.acceptance.told, timeout=LONG_MS):
        panel.acceptance.button.click()
        assert not panel.acceptance.button.isEnabled()
    assert panel.acceptance.button.isEnabled()
    return panel.sessions.layer("accepted")


def expected(panel: TeachWidget) -> np.ndarray:
    """The prediction with the paint on top."""
    paint = np.asarray(panel.scribbles.value().data)
    return np.where(paint > 0, paint, prediction(panel).data)


def prediction(panel: TeachWidget) -> Any:
    return panel._results.find(PREDICTION, panel.image.value(), panel.scribbles.value().data.shape)


def actions(panel: TeachWidget) -> list[str]:
    return [entry.action.name for entry in reversed(panel.sessions.session.history()) if entry.in_effect]


def undo(hand) -> None:
    QTest.keyClick(hand.canvas, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    QApplication.processEvents()


def test_it_is_one_action_that_one_undo_takes_back(taught: TeachWidget, qtbot, hand) -> None:
    # A stroke of the wrong class: what the user paints has the last word.
    hand.stroke((20, 40), (24, 80))
    before = actions(taught)
    layer = accept(taught, qtbot)
    wanted = expected(taught)
    assert wanted[11, 30] == 2 and prediction(taught).data[11, 30] == 1
    np.testing.assert_array_equal(np.asarray(layer.data), wanted)
    assert actions(taught) == [*before, "Accepted prediction"]
    action = taught.sessions.session.history()[0].action
    assert (action.tool, action.model) == ("tiny", "0" * 8)
    assert action.parameters["classes"] == {"1": "class 1", "2": "class 2"}
    undo(hand)
    assert not np.asarray(layer.data).any()
    assert actions(taught) == before
    taught.sessions.redo()
    np.testing.assert_array_equal(np.asarray(layer.data), wanted)


def test_it_lies_on_the_image_and_looks_like_the_prediction(taught: TeachWidget, qtbot) -> None:
    taught.classes.recolour(1, "#00ff00")
    teach(taught, qtbot)
    scribbles = taught.scribbles.value()
    layer = accept(taught, qtbot)
    assert [each.name for each in taught.viewer.layers] == [
        "halves", "halves prediction", "halves entropy", "halves annotation", "halves scribbles",
    ]  # fmt: skip
    assert (tuple(layer.scale), layer.data.shape, layer.opacity) == ((2, 2), (96, 128), 0.45)
    np.testing.assert_allclose(layer.get_color(1), (0, 1, 0, 1))
    assert taught.viewer.layers.selection.active.name == "halves annotation" and taught.scribbles.value() is scribbles
    # Else what is corrected would still show the prediction's colour.
    assert not prediction(taught).visible
    taught.sessions.undo()
    assert prediction(taught).visible
    accept(taught, qtbot)
    teach(taught, qtbot)
    assert prediction(taught).visible


def test_it_can_be_corrected_and_accepting_again_replaces_it(taught: TeachWidget, qtbot, hand) -> None:
    layer = accept(taught, qtbot)
    taught.viewer.layers.selection.active = layer
    layer.mode, layer.selected_label, layer.brush_size = "paint", 2, 10
    hand.stroke((40, 20), (100, 20))
    corrected = np.asarray(layer.data).copy()
    assert actions(taught)[-1] == "Painted class 2" and (corrected != expected(taught)).any()
    assert accept(taught, qtbot) is layer
    np.testing.assert_array_equal(np.asarray(layer.data), expected(taught))
    assert layer_names(taught.sessions.session) == ["accepted", "annotation"]
    taught.sessions.undo()
    np.testing.assert_array_equal(np.asarray(layer.data), corrected)
    # The same prediction once more is no second action.
    taught.sessions.redo()
    count = len(actions(taught))
    accept(taught, qtbot)
    assert len(actions(taught)) == count


def test_it_comes_back_and_is_not_taken_for_scribbles(taught: TeachWidget, qtbot) -> None:
    accept(taught, qtbot)
    wanted, sessions = expected(taught), taught.sessions
    folder = sessions.session.folder
    sessions.session.flush(10)
    with Session.open(folder, writable=False) as other:
        np.testing.assert_array_equal(np.asarray(open_layer(other, "accepted").image.levels[0]), wanted)
        assert [row.name for row in classes_of(other, "accepted")] == ["class 1", "class 2"]
    sessions.close()
    sessions.open(folder)
    assert taught.scribbles.value() is sessions.layer("annotation")
    np.testing.assert_array_equal(np.asarray(sessions.layer("accepted").data), wanted)
    sessions.undo()
    assert not np.asarray(sessions.layer("accepted").data).any()
    teach(taught, qtbot)
    accept(taught, qtbot)
    assert layer_names(sessions.session) == ["accepted", "annotation"]


def test_a_stroke_in_the_making_is_not_torn(taught: TeachWidget, qtbot, hand) -> None:
    layer = accept(taught, qtbot)
    taught.sessions.undo()
    count = len(actions(taught))
    taught.viewer.layers.selection.active = layer
    layer.mode, layer.selected_label, layer.brush_size = "paint", 2, 10
    hand.press((100, 40))
    hand.move((100, 60))
    taught.acceptance.button.click()
    qtbot.waitUntil(lambda: not taught.acceptance._background.busy)
    hand.move((100, 80))
    qtbot.wait(150)
    assert len(actions(taught)) == count and not taught.acceptance.button.isEnabled()
    with qtbot.waitSignal(taught.acceptance.told, timeout=LONG_MS):
        hand.release((100, 80))
    assert actions(taught)[count:] == ["Painted class 2", "Accepted prediction"]
    np.testing.assert_array_equal(np.asarray(layer.data), expected(taught))
    taught.sessions.undo()
    assert set(np.unique(np.asarray(layer.data))) == {0, 2}


def test_closing_waits_for_it(taught: TeachWidget, qtbot) -> None:
    wanted, folder = expected(taught), taught.sessions.session.folder
    taught.acceptance.button.click()
    taught.viewer.close()
    QApplication.processEvents()
    with Session.open(folder, writable=False) as other:
        np.testing.assert_array_equal(np.asarray(open_layer(other, "accepted").image.levels[0]), wanted)


def test_a_layer_that_was_removed_is_shown_again(taught: TeachWidget, qtbot) -> None:
    taught.viewer.layers.remove(accept(taught, qtbot))
    taught.sessions.undo()
    layer = accept(taught, qtbot)
    assert layer in taught.viewer.layers
    np.testing.assert_array_equal(np.asarray(layer.data), expected(taught))


def test_there_must_be_a_whole_prediction(panel: TeachWidget, taught: TeachWidget, qtbot) -> None:
    count = len(actions(taught))
    taught.form.setValue({"mode": "slow"})
    with qtbot.waitSignal(taught.runner.eventReceived, timeout=LONG_MS):
        taught.runner.run_button.click()
    with qtbot.waitSignal(taught.runner.failed, timeout=LONG_MS):
        taught.runner.cancel_button.click()
    taught.acceptance.button.click()
    assert taught.runner.error_line.text().startswith("The prediction is that of a run that is not at its end.")
    taught.viewer.layers.remove("halves prediction")
    taught.acceptance.button.click()
    assert taught.runner.error_line.text().startswith("There is no prediction of this image yet.")
    taught.viewer.layers.clear()
    taught.acceptance.button.click()
    assert taught.runner.error_line.text().startswith("There is no prediction of this image yet.")
    assert len(actions(taught)) == count


def test_a_session_for_reading_only_takes_nothing(
    taught: TeachWidget, make_napari_viewer, service, halves, qtbot
) -> None:
    folder = taught.sessions.session.folder
    taught.sessions.session.flush(10)
    other = make_napari_viewer(show=False)
    other.add_image(halves, name="halves", scale=(2, 2), units="um")
    second = TeachWidget(other, service=service, tool="tiny")
    second.live.setValue(False)
    second.sessions.open(folder)
    teach(second, qtbot)
    second.acceptance.button.click()
    assert "for reading only" in second.runner.error_line.text()
    assert list(other.layers)[-1].name == "halves scribbles"
    second.deleteLater()


def test_a_model_that_was_applied_without_scribbles_begins_a_session(panel: TeachWidget, qtbot, halves) -> None:
    image = panel.image.value()
    draw(panel, image, (halves > 100).astype(np.uint8) + 1, {"tool": "apply", "model": "mine", "digest": "abc"})
    with qtbot.waitSignal(panel.acceptance.told, timeout=LONG_MS):
        panel.acceptance.button.click()
    action = panel.sessions.session.history()[0].action
    assert (action.tool, action.model, action.parameters) == ("apply", "abc", {"model": "mine"})
    np.testing.assert_array_equal(np.asarray(panel.sessions.layer("accepted").data), (halves > 100) + 1)


@pytest.mark.parametrize("shape", [(3, 60, 50), (4096, 4096)])
def test_stacks_and_large_images(panel: TeachWidget, qtbot, shape: tuple[int, ...]) -> None:
    panel.viewer.layers.clear()
    image = panel.viewer.add_image(np.zeros(shape, np.uint8), name="zeros")
    panel.new_button.click()
    coarse = np.random.default_rng(0).integers(1, 3, tuple(-(-n // 10) for n in shape[-2:]), dtype=np.uint8)
    plane = coarse.repeat(10, 0).repeat(10, 1)[: shape[-2], : shape[-1]]
    labels = np.ascontiguousarray(np.broadcast_to(plane, shape))
    labels[..., :7] = 3
    draw(panel, image, labels, {"tool": "tiny", "parameters": {}, "digest": "abc"})
    layer = accept(panel, qtbot)
    np.testing.assert_array_equal(np.asarray(layer.data), labels)
    panel.sessions.undo()
    assert not np.asarray(layer.data).any()


def test_a_run_that_ends_within_a_stroke_is_accepted_and_kept_whole(panel: TeachWidget, qtbot, hand, halves) -> None:
    panel.new_button.click()
    hand.stroke(*LEFT)
    panel.classes.selected.emit(2)
    hand.stroke(*RIGHT)
    kept = panel.sessions.session.predictions
    hand.press((100, 170))
    teach(panel, qtbot)
    panel.acceptance.button.click()
    assert panel.runner.error_line.text().startswith("There is no prediction of this image yet.")
    assert prediction(panel) is None and not kept.exists()
    hand.release((100, 170))
    accept(panel, qtbot)
    qtbot.waitUntil(lambda: not panel.sessions.predictions._background.busy)
    (stored,) = (each for each in predictions.read(kept) if each.about["role"] == PREDICTION)
    np.testing.assert_array_equal(stored.pixels(), (halves > 100) + 1)


def accept_drawn(panel: TeachWidget, qtbot, image: Any, label: int) -> Any:
    """Choose an image, draw a prediction of one label and accept it; the prediction's layer."""
    panel.image.setValue(image)
    draw(panel, image, np.full(image.data.shape, label, np.uint8), {"tool": "tiny", "digest": "abc"})
    with qtbot.waitSignal(panel.acceptance.told, timeout=LONG_MS):
        panel.acceptance.button.click()
    return panel._results.find(PREDICTION, image, image.data.shape)


def test_hidden_predictions_of_two_images_are_not_mixed_up(taught: TeachWidget, qtbot) -> None:
    accept(taught, qtbot)
    first, image, scribbles = prediction(taught), taught.image.value(), taught.scribbles.value()
    second = accept_drawn(taught, qtbot, taught.viewer.add_image(np.zeros((60, 50), np.uint8), name="other"), 3)
    taught.sessions.undo()
    assert second.visible and not first.visible
    taught.sessions.undo()
    assert first.visible
    taught.sessions.redo()
    taught.image.setValue(image)
    taught.scribbles.setValue(scribbles)
    accept(taught, qtbot)
    accept_drawn(taught, qtbot, taught.viewer.layers["other"], 3)
    taught.image.setValue(image)
    taught.scribbles.setValue(scribbles)
    teach(taught, qtbot)
    assert first.visible and not second.visible


def open_scan(panel: TeachWidget, file: Path) -> Any:
    file.parent.mkdir(exist_ok=True)
    np.save(file, np.zeros((60, 50), np.uint8))
    (image,) = panel.viewer.open(str(file), plugin="napari")
    return image


@pytest.mark.parametrize("folders", [("a", "b"), ("a", "a")])
def test_images_of_one_name_or_of_one_file_have_annotations_of_their_own(
    panel: TeachWidget, qtbot, tmp_path: Path, folders: tuple[str, str]
) -> None:
    for label, folder in enumerate(folders, 1):
        image = open_scan(panel, tmp_path / folder / "scan.npy")
        accept_drawn(panel, qtbot, image, label)
        if folders[0] != folders[1]:
            panel.viewer.layers.remove(image)
    session = panel.sessions.session
    assert layer_names(session) == ["accepted", "accepted 2"]
    for label, name in enumerate(layer_names(session), 1):
        assert (np.asarray(open_layer(session, name).image.levels[0]) == label).all()


def test_an_image_that_was_moved_keeps_its_annotation(panel: TeachWidget, qtbot, tmp_path: Path) -> None:
    accept_drawn(panel, qtbot, open_scan(panel, tmp_path / "a" / "scan.npy"), 1)
    panel.sessions.save_as(tmp_path / "a" / "kept")
    panel.sessions.close()
    panel.viewer.layers.clear()
    (tmp_path / "a").rename(tmp_path / "b")
    panel.sessions.open(tmp_path / "b" / "kept.medseg")
    accept_drawn(panel, qtbot, panel.viewer.layers["scan"], 2)
    assert layer_names(panel.sessions.session) == ["accepted"]


def draw(panel: TeachWidget, image: Any, labels: np.ndarray, about: dict[str, Any]) -> None:
    """Show a prediction as a run does."""
    panel._results.begin(_layers.image_of(image), image, about)
    panel._results.add(Tile(PREDICTION, (0,) * labels.ndim, labels))
    panel._results.flush()
    panel._results.describe({})
