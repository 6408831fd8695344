"""What the panel hears of the scribble layer."""

from __future__ import annotations

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest

from napari_medseg.widgets._classes import ClassEditor
from napari_medseg.widgets._layers import RESULT_KEY
from napari_medseg.widgets._paint import Paint

LONG_MS = 30_000


@pytest.fixture
def paint(qtbot) -> Paint:
    viewer = ViewerModel()
    editor = ClassEditor()
    qtbot.addWidget(editor)
    paint = Paint(viewer, editor)
    paint.set_layer(viewer.add_labels(np.zeros((3, 20, 30), np.uint8)))
    return paint


@pytest.fixture
def strokes(paint: Paint) -> list[int]:
    """One entry for each stroke that was heard."""
    heard: list[int] = []
    paint.strokeEnded.connect(lambda: heard.append(1))
    return heard


def stroke(paint: Paint, row: int) -> None:
    paint.layer.data_setitem((np.zeros(10, int), np.full(10, row), np.arange(10)), 1)


def test_a_stroke_is_heard_once(paint: Paint, strokes: list[int]) -> None:
    stroke(paint, 5)
    assert len(strokes) == 1


def test_undo_and_redo_are_heard(paint: Paint, strokes: list[int]) -> None:
    stroke(paint, 5)
    stroke(paint, 6)
    for count, step in enumerate([paint.layer.undo, paint.layer.undo, paint.layer.redo], start=3):
        step()
        assert len(strokes) == count
    stroke(paint, 7)
    assert len(strokes) == 6


def test_an_undo_with_nothing_to_undo_is_not_heard(paint: Paint, strokes: list[int]) -> None:
    paint.layer.undo()
    paint.layer.redo()
    assert strokes == []


def test_drawing_anew_is_no_stroke(paint: Paint, strokes: list[int]) -> None:
    stroke(paint, 5)
    paint.layer.undo()
    before = len(strokes)
    paint.layer.refresh()
    paint._viewer.dims.set_point(0, 2)
    paint.layer.visible = False
    paint.layer.visible = True
    assert len(strokes) == before


def test_an_undo_of_a_hidden_layer_is_heard_when_it_is_shown(paint: Paint, strokes: list[int]) -> None:
    stroke(paint, 5)
    paint.layer.visible = False
    paint.layer.undo()
    paint.layer.visible = True
    assert len(strokes) == 2


def test_a_released_layer_is_not_heard(paint: Paint, strokes: list[int]) -> None:
    layer = paint.layer
    stroke(paint, 5)
    paint.release()
    layer.undo()
    layer.redo()
    assert len(strokes) == 1


def test_live_mode_follows_the_undo_and_redo_keys(panel, hand, qtbot) -> None:
    panel.new_button.click()
    for label, columns in ((1, (30, 90)), (2, (160, 230))):
        panel.classes.selected.emit(label)
        hand.stroke((40, columns[0]), (150, columns[1]))
    panel.scribbles.value().selected_label = 3
    panel.live.setValue(True)
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS):
        hand.stroke((20, 20), (20, 60))
    assert 3 in predicted(panel)
    keys = Qt.KeyboardModifier.ControlModifier
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS):
        QTest.keyClick(hand.canvas, Qt.Key.Key_Z, keys)
    assert set(predicted(panel)) == {1, 2}
    with qtbot.waitSignal(panel.runner.succeeded, timeout=LONG_MS):
        QTest.keyClick(hand.canvas, Qt.Key.Key_Z, keys | Qt.KeyboardModifier.ShiftModifier)
    assert 3 in predicted(panel)


def predicted(panel) -> np.ndarray:
    layers = panel.viewer.layers
    layer = next(found for found in layers if found.metadata.get(RESULT_KEY, {}).get("role") == "prediction")
    return np.unique(layer.data)
